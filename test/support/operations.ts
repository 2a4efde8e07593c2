/**
 * The name of what a request to an object store asks for, so that tests count and fault operations instead of URLs. It
 * reads method, path, query and headers only, and no answer depends on it.
 */
import type { IncomingHttpHeaders } from 'node:http';

export interface Asked {
  readonly method: string;
  /** As on the wire: percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

/** S3: the API's own names, `GetObject`. GCS: resource and method, `objects.get`. Anything else: `unknown`. */
export function operationOf(asked: Asked): string {
  return /^\/(?:upload\/|download\/)?storage\/v1\/b(?:\/|$)/.test(asked.path)
    ? gcsOperation(asked)
    : s3Operation(asked);
}

function gcsOperation({ method, path, query, headers }: Asked): string {
  if (path.startsWith('/upload/')) {
    if (query.has('upload_id')) {
      if (method === 'DELETE') return 'uploads.cancel';
      return /^bytes \*\//.test(headers['content-range'] ?? '') ? 'uploads.status' : 'uploads.put';
    }
    return query.get('uploadType') === 'resumable' ? 'uploads.start' : 'objects.insert';
  }
  const [, , , , bucket, o, object, verb] = path.replace(/^\/download/, '').split('/');
  if (bucket === undefined) return method === 'POST' ? 'buckets.insert' : 'unknown';
  if (o === undefined) return method === 'GET' ? 'buckets.get' : 'unknown';
  if (o !== 'o') return 'unknown';
  if (object === undefined) return method === 'GET' ? 'objects.list' : 'unknown';
  if (verb === 'rewriteTo' && method === 'POST') return 'objects.rewrite';
  if (verb === 'moveTo' && method === 'POST') return 'objects.move';
  if (verb !== undefined) return 'unknown';
  if (method === 'DELETE') return 'objects.delete';
  if (method !== 'GET') return 'unknown';
  return query.get('alt') === 'media' ? 'objects.media' : 'objects.get';
}

/** Path style: the first segment is the bucket, the rest the key. */
function s3Operation({ method, path, query, headers }: Asked): string {
  const [, bucket = '', ...rest] = path.split('/');
  if (bucket === '') return method === 'GET' ? 'ListBuckets' : 'unknown';
  if (rest.join('/') === '') {
    if (method === 'GET' && query.has('uploads')) return 'ListMultipartUploads';
    if (method === 'GET' && query.has('list-type')) return 'ListObjectsV2';
    if (method === 'GET' && query.has('location')) return 'GetBucketLocation';
    if (method === 'GET') return 'ListObjects';
    if (method === 'HEAD') return 'HeadBucket';
    if (method === 'PUT') return 'CreateBucket';
    if (method === 'DELETE') return 'DeleteBucket';
    if (method === 'POST' && query.has('delete')) return 'DeleteObjects';
    return 'unknown';
  }
  const copies = headers['x-amz-copy-source'] !== undefined;
  switch (method) {
    case 'PUT':
      if (query.has('partNumber')) return copies ? 'UploadPartCopy' : 'UploadPart';
      return copies ? 'CopyObject' : 'PutObject';
    case 'POST':
      if (query.has('uploads')) return 'CreateMultipartUpload';
      return query.has('uploadId') ? 'CompleteMultipartUpload' : 'unknown';
    case 'DELETE':
      return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'GET':
      return query.has('uploadId') ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    default:
      return 'unknown';
  }
}
