"""S3 says whether a bucket keeps versions in a `VersioningConfiguration`, an empty one where nobody ever
said (S3 API reference, GetBucketVersioning); moto's answer has another name, or is empty altogether."""

from moto.s3.responses import S3Response

from .mend import mend

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@mend(S3Response)
def get_bucket_versioning(self, moto):
    status = self.backend.get_bucket_versioning(self.bucket_name)
    said = f"<Status>{status}</Status>" if status else ""
    body = f'<VersioningConfiguration xmlns="{NAMESPACE}">{said}</VersioningConfiguration>'
    return 200, {"Content-Type": "application/xml"}, body
