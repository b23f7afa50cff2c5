import { isKubeError } from '../../src/kube/kube-error.ts';

/** Why a write was refused, from what the API server says. */

export const refusalCauses = ['OurWebhook', 'AsItShould', 'ServerAway', 'Raced', 'Other'] as const;
export type RefusalCause = (typeof refusalCauses)[number];

/**
 * | says                                                       | cause      |
 * |------------------------------------------------------------|------------|
 * | failed calling webhook "….connectionbudget.io"             | OurWebhook |
 * | admission webhook "….connectionbudget.io" denied the request | AsItShould |
 * | no answer, 429, 500, 503, 504 and no name of ours          | ServerAway |
 * | 404, 409: somebody else's write came first                 | Raced      |
 */
export const refusalCauseOf = (error: unknown): RefusalCause => {
  if (!isKubeError(error)) return 'Other';
  if (/connectionbudget\.io" denied the request/.test(error.message)) return 'AsItShould';
  if (/webhook.*connectionbudget/.test(error.message)) return 'OurWebhook';
  if (isKubeError(error, 'Network', 'Timeout', 'Unavailable', 'TooManyRequests', 'ServerError')) return 'ServerAway';
  if (isKubeError(error, 'NotFound', 'Conflict', 'AlreadyExists')) return 'Raced';
  return 'Other';
};
