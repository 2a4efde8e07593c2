/**
 * How uploads are cut. Manifests list the parts, so that another size would give other manifests: it must never change.
 */

/**
 * Bytes of every part but the last: all the same, as some stores want. S3 takes 10,000 parts at the most: 84 GB, more
 * than any partition that fits memory limits elsewhere.
 */
export const PART_BYTES = 8 * 1024 * 1024;
