/** Opens a bucket by its protocol: the only place that knows which there are. */
import type { Bucket, BucketAddress } from './bucket.ts';
import type { RemoteDomain } from './faults.ts';
import { GcsBucket } from './gcs-bucket.ts';
import { S3Bucket } from './s3-bucket.ts';

/** The bucket of an address. Touches nothing: its methods do. `onRetry`: a request failed and is sent again. */
export function openBucket(address: BucketAddress, domain: RemoteDomain, onRetry?: () => void): Bucket {
  return address.protocol === 's3' ? new S3Bucket(address, domain, onRetry) : new GcsBucket(address, domain, onRetry);
}
