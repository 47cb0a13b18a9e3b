//! Route tables of a VPC: the main one, and its successor. Pure: makes no call.

use aws_sdk_ec2::types::{RouteTable, RouteTableAssociation, RouteTableAssociationStateCode};

/// Returns the table that becomes the main table when `ours` gives up that role: the one that AWS
/// created with the VPC. It has no tags, no explicit associations, and only the local routes. `None`
/// if no other table is like that: a table that others use never becomes the main one.
///
/// Of several such tables, the one with the first ID is returned, so that all callers select the
/// same one.
pub(crate) fn bare_table<'a>(tables: &'a [RouteTable], ours: &str) -> Option<&'a str> {
    let others = tables.iter().filter(|table| table.route_table_id() != Some(ours));
    others.filter(|table| is_bare(table)).filter_map(RouteTable::route_table_id).min()
}

fn is_bare(table: &RouteTable) -> bool {
    let is_local = |gateway: Option<&str>| gateway == Some("local");
    table.tags().is_empty()
        && table.propagating_vgws().is_empty()
        && table.routes().iter().all(|route| is_local(route.gateway_id()))
        && live_associations(table).all(|one| one.main() == Some(true))
}

/// Returns true if the table is the main table of its VPC.
pub(crate) fn is_main(table: &RouteTable) -> bool {
    live_associations(table).any(|one| one.main() == Some(true))
}

/// Returns the associations that are in effect. AWS reports ended associations for a while.
pub(crate) fn live_associations(
    table: &RouteTable,
) -> impl Iterator<Item = &RouteTableAssociation> {
    use RouteTableAssociationStateCode::{Disassociated, Disassociating, Failed};
    table.associations().iter().filter(|one| {
        let state = one.association_state().and_then(|state| state.state());
        !matches!(state, Some(Disassociated | Disassociating | Failed))
    })
}
