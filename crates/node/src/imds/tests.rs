//! Tests of the client with an in-memory service and a paused clock. The numbers refer to the cases
//! in `docs/cases.md`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use super::fake::{FakeImds, ImdsFault};
use super::{Client, Endpoint, Error, ImdsSettings, IpVersion, Ttl};

const PATH: &str = "spot/termination-time";

fn settings(ttl: u64, margin: u64) -> ImdsSettings {
    ImdsSettings {
        ttl: Ttl::new(Duration::from_secs(ttl)).unwrap(),
        margin: Duration::from_secs(margin),
        ..ImdsSettings::default()
    }
}

/// Returns a service with a value, and its client.
fn pair() -> (FakeImds, Client) {
    let fake = FakeImds::default();
    fake.set(PATH, "2015-01-05T18:02:00Z");
    let client = fake.client(ImdsSettings::default());
    (fake, client)
}

/// Asserts that only requests for a token were sent without one.
fn nothing_was_asked_without_a_token(fake: &FakeImds) {
    for asked in fake.requests() {
        assert!(asked.token || asked.method == "PUT", "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c54_one_token_serves_everybody() {
    let (fake, client) = pair();
    let client = Arc::new(client);
    let first: Vec<_> = (0..50)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.metadata(PATH).await })
        })
        .collect();
    for one in first {
        assert_eq!(one.await.unwrap().unwrap().as_deref(), Some("2015-01-05T18:02:00Z"));
    }
    for _ in 0..100 {
        client.metadata(PATH).await.unwrap();
    }
    assert_eq!((fake.count("PUT"), fake.count("GET")), (1, 150));
    assert_eq!(fake.requests()[0].ttl.as_deref(), Some("21600"));
    nothing_was_asked_without_a_token(&fake);
}

#[tokio::test(start_paused = true)]
async fn c55_a_token_is_renewed_before_it_expires_by_what_was_granted() {
    let fake = FakeImds::default();
    fake.grant_at_most(60);
    let client = fake.client(settings(21_600, 10));
    let began = Instant::now();
    for _ in 0..12 {
        assert_eq!(client.metadata(PATH).await, Ok(None));
        advance(Duration::from_secs(10)).await;
    }
    let puts: Vec<_> = fake.requests().into_iter().filter(|one| one.method == "PUT").collect();
    let at: Vec<u64> = puts.iter().map(|one| (one.at - began).as_secs()).collect();
    assert_eq!(at, [0, 50, 100]);
}

#[tokio::test(start_paused = true)]
async fn c55_without_a_ttl_in_the_reply_it_is_as_was_asked() {
    let fake = FakeImds::default();
    fake.leave_out_the_ttl();
    let client = fake.client(settings(60, 10));
    client.metadata(PATH).await.unwrap();
    advance(Duration::from_secs(49)).await;
    client.metadata(PATH).await.unwrap();
    assert_eq!(fake.count("PUT"), 1);
    advance(Duration::from_secs(2)).await;
    client.metadata(PATH).await.unwrap();
    assert_eq!(fake.count("PUT"), 2);
}

#[tokio::test(start_paused = true)]
async fn c56_a_request_that_is_bad_is_not_repeated() {
    assert!(Ttl::new(Duration::ZERO).is_err());
    assert!(Ttl::new(Duration::from_secs(21_601)).is_err());
    let (fake, client) = pair();
    fake.inject_faults("PUT", &[ImdsFault::Status(400)]);
    assert_eq!(client.metadata(PATH).await, Err(Error::TokenRefused(400)));
    assert_eq!(fake.count("PUT"), 1);
}

#[tokio::test(start_paused = true)]
async fn c57_a_token_that_is_not_taken_is_replaced_once() {
    let (fake, client) = pair();
    client.metadata(PATH).await.unwrap();
    fake.inject_faults("GET", &[ImdsFault::Status(401)]);
    assert!(client.metadata(PATH).await.unwrap().is_some());
    assert_eq!((fake.count("PUT"), fake.count("GET")), (2, 3));

    fake.inject_faults("GET", &[ImdsFault::Status(401), ImdsFault::Status(401)]);
    assert_eq!(client.metadata(PATH).await, Err(Error::TokenNotTaken));
    assert_eq!((fake.count("PUT"), fake.count("GET")), (3, 5));
}

#[tokio::test(start_paused = true)]
async fn c57_many_whose_token_is_not_taken_ask_for_one_new_one() {
    let (fake, client) = pair();
    client.metadata(PATH).await.unwrap();
    fake.forget_tokens();
    let client = Arc::new(client);
    let all: Vec<_> = (0..20)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.metadata(PATH).await })
        })
        .collect();
    for one in all {
        assert!(one.await.unwrap().unwrap().is_some());
    }
    assert_eq!(fake.count("PUT"), 2);
}

#[tokio::test(start_paused = true)]
async fn c58_nobody_who_gives_no_token_is_asked_without_one() {
    for status in [403, 404, 405] {
        let (fake, client) = pair();
        fake.inject_faults("PUT", &[ImdsFault::Status(status); 4]);
        let error = client.metadata(PATH).await.unwrap_err();
        assert_eq!(error, Error::TokenRefused(status));
        assert_eq!(fake.requests().len(), 1, "once, and nothing else");
        let hint = error.hint().unwrap();
        assert_eq!(
            hint.contains("X-Forwarded-For") && hint.contains("HttpEndpoint"),
            status == 403
        );
    }
    let (fake, client) = pair();
    fake.disable();
    assert_eq!(client.metadata(PATH).await, Err(Error::TokenRefused(403)));
    nothing_was_asked_without_a_token(&fake);
}

#[tokio::test(start_paused = true)]
async fn c58_silence_to_the_request_for_a_token_points_to_the_hop_limit() {
    let (fake, client) = pair();
    fake.inject_faults("PUT", &[ImdsFault::Silence; 9]);
    let began = Instant::now();
    let error = client.metadata(PATH).await.unwrap_err();
    assert_eq!(error, Error::NoToken { within: Duration::from_secs(1), tries: 4 });
    assert!(error.hint().unwrap().contains("HttpPutResponseHopLimit to 2 or more"));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(fake.requests().len(), 4);
    nothing_was_asked_without_a_token(&fake);
}

#[tokio::test(start_paused = true)]
async fn c59_what_passes_is_asked_again_with_pauses_that_grow() {
    for status in [503, 429, 500] {
        let (fake, client) = pair();
        fake.inject_faults("GET", &[ImdsFault::Status(status), ImdsFault::Status(status)]);
        assert!(client.metadata(PATH).await.unwrap().is_some());
        let gets: Vec<_> = fake.requests().into_iter().filter(|one| one.method == "GET").collect();
        let pauses: Vec<_> =
            gets.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis()).collect();
        assert!((100..=201).contains(&pauses[0]), "{pauses:?}");
        assert!((200..=401).contains(&pauses[1]), "{pauses:?}");
        fake.inject_faults("PUT", &[ImdsFault::Status(status)]);
    }
    let (fake, client) = pair();
    fake.inject_faults("GET", &[ImdsFault::Status(503); 4]);
    assert_eq!(client.metadata(PATH).await, Err(Error::Busy { status: 503, tries: 4 }));
}

#[tokio::test(start_paused = true)]
async fn c59_what_is_not_there_is_no_error_and_not_asked_again() {
    let (fake, client) = pair();
    assert_eq!(client.metadata("spot/instance-action").await, Ok(None));
    assert_eq!(fake.count("GET"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_is_seen_then() {
    let fake = FakeImds::default();
    let client = fake.client(ImdsSettings::default());
    fake.set_after(Duration::from_secs(15), PATH, "2015-01-05T18:02:00Z");
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(client.metadata(PATH).await.unwrap().is_some());
        advance(Duration::from_secs(5)).await;
    }
    assert_eq!(seen, [false, false, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn c60_no_redirect_is_followed_and_nobody_is_forwarded_for() {
    let (fake, client) = pair();
    fake.inject_faults("GET", &[ImdsFault::Status(302)]);
    assert_eq!(client.metadata(PATH).await, Err(Error::Unexpected(302)));
    assert_eq!(fake.count("GET"), 1);
}

#[tokio::test(start_paused = true)]
async fn c61_a_service_that_forgot_its_tokens_costs_nobody_an_answer() {
    let (fake, client) = pair();
    client.metadata(PATH).await.unwrap();
    fake.forget_tokens();
    assert!(client.metadata(PATH).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_and_a_refused_connection_are_asked_again() {
    let (fake, client) = pair();
    fake.inject_faults("CONNECT", &[ImdsFault::Refuse]);
    fake.inject_faults("GET", &[ImdsFault::Slow(Duration::from_secs(30))]);
    assert!(client.metadata(PATH).await.unwrap().is_some());
    fake.inject_faults("CONNECT", &[ImdsFault::Refuse; 4]);
    let error = client.metadata(PATH).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("refused")), "{error:?}");
}

/// Returns two services at the default endpoints, and a client that may use either.
fn both() -> (FakeImds, FakeImds, Client) {
    let (ipv4, ipv6) = (FakeImds::default(), FakeImds::default());
    ipv4.set("name", "ipv4");
    ipv6.set("name", "ipv6");
    let routes = vec![ipv4.route(IpVersion::Ipv4), ipv6.route(IpVersion::Ipv6)];
    let client = Client::routed(routes, ImdsSettings::default());
    (ipv4, ipv6, client)
}

#[tokio::test(start_paused = true)]
async fn c79_ipv6_is_tried_when_ipv4_cannot_be_connected_to_and_is_kept() {
    for fault in [ImdsFault::Refuse, ImdsFault::Silence] {
        let (ipv4, ipv6, client) = both();
        ipv4.inject_faults("CONNECT", &[fault]);
        for _ in 0..3 {
            assert_eq!(client.metadata("name").await.unwrap().as_deref(), Some("ipv6"));
        }
        assert_eq!((ipv4.requests().len(), ipv6.requests().len()), (0, 4), "{fault:?}");
        // Both are tried again once the kept endpoint cannot be connected to.
        ipv6.inject_faults("CONNECT", &[ImdsFault::Refuse]);
        assert_eq!(client.metadata("name").await.unwrap().as_deref(), Some("ipv4"));
        nothing_was_asked_without_a_token(&ipv4);
        nothing_was_asked_without_a_token(&ipv6);
    }
}

#[tokio::test(start_paused = true)]
async fn c79_ipv6_is_not_tried_after_a_connection_to_ipv4() {
    let (ipv4, ipv6, client) = both();
    ipv4.inject_faults("PUT", &[ImdsFault::Silence; 4]);
    assert!(matches!(client.metadata("name").await, Err(Error::NoToken { .. })));
    ipv4.inject_faults("PUT", &[ImdsFault::Status(403)]);
    assert_eq!(client.metadata("name").await, Err(Error::TokenRefused(403)));
    assert_eq!(client.metadata("name").await.unwrap().as_deref(), Some("ipv4"));
    assert_eq!(ipv6.requests(), []);
}

#[tokio::test(start_paused = true)]
async fn c79_the_error_names_every_endpoint_that_was_tried() {
    let (ipv4, ipv6, client) = both();
    ipv4.inject_faults("CONNECT", &[ImdsFault::Silence; 4]);
    ipv6.inject_faults("CONNECT", &[ImdsFault::Refuse; 4]);
    let text = client.metadata("name").await.unwrap_err().to_string();
    let expected = "no connection to the metadata service: http://169.254.169.254: no connection \
                    within 1s; http://[fd00:ec2::254]: connection refused";
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_value_is_refused() {
    let (fake, client) = pair();
    fake.set("user-data-of-a-madman", vec![b'x'; 70_000]);
    fake.set("noise", vec![0xff, 0xfe]);
    fake.set("lines", "a\nb/\n");
    assert_eq!(client.metadata("user-data-of-a-madman").await, Err(Error::NoValue));
    assert_eq!(client.metadata("noise").await, Err(Error::NoValue));
    assert_eq!(client.metadata("lines").await.unwrap().as_deref(), Some("a\nb/"));
    for body in ["", "two words", "split\r\nheader: x"] {
        let (fake, client) = pair();
        fake.give_instead_of_a_token(body);
        let error = client.metadata(PATH).await.unwrap_err();
        assert_eq!(error, Error::InvalidToken, "{body:?}");
        assert!(error.to_string().contains("no token") && error.hint().is_some());
        nothing_was_asked_without_a_token(&fake);
    }
}

/// Test over a real socket: port and host are those of the endpoint.
#[tokio::test]
async fn c60_an_endpoint_is_reached_directly_on_its_port() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        let reply = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(reply).await.unwrap();
        String::from_utf8(request[..length].to_vec()).unwrap()
    });
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let client = Client::new(endpoint, ImdsSettings::default());
    assert_eq!(client.metadata(PATH).await, Err(Error::TokenRefused(403)));
    let request = server.await.unwrap().to_lowercase();
    assert!(request.starts_with("put /latest/api/token http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
    assert!(!request.contains("x-forwarded-for"), "{request}");
}
