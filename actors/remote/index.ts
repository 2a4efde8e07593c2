/** Opens a bucket by its protocol: the only place that knows which there are. */
import type { Bucket, BucketPlace } from './bucket.ts';
import type { RemoteDomain } from './faults.ts';
import { GcsBucket } from './gcs-bucket.ts';
import { S3Bucket } from './s3-bucket.ts';

/** The bucket of a place. Touches nothing: its methods do. `onRetry`: a request failed and is sent again. */
export function openBucket(place: BucketPlace, domain: RemoteDomain, onRetry?: () => void): Bucket {
  return place.protocol === 's3' ? new S3Bucket(place, domain, onRetry) : new GcsBucket(place, domain, onRetry);
}
