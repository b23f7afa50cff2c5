import type { Logger } from '../observability/logger.ts';
import { type Admission, type AdmissionRequest, parseReview, reviewResponse } from './admission-review.ts';
import { admitBudget, type AdmitPod } from './admit.ts';
import type { Signer } from './plan-pod.ts';
import type { Surroundings } from './surroundings.ts';
import type { WebhookPath, WebhookResult } from './webhook-metrics.ts';

/** What a request's body is answered. */
export interface Answer {
  readonly status: number;
  /** In ASCII. */
  readonly body: string;
  readonly result: WebhookResult;
  /** Of a refusal: the first field that broke a rule. */
  readonly refusedField?: string;
}

export interface AnswerContext {
  readonly admitPod: AdmitPod;
  readonly surroundings: Surroundings;
  readonly signer: () => Signer | undefined;
  readonly logger: Logger;
}

const admitPodSigned = (request: AdmissionRequest, context: AnswerContext): Admission => {
  const current = context.signer();
  if (current === undefined) throw new Error('there is no signing key yet');
  return context.admitPod(request, context.surroundings, current);
};

/** A pod must start whatever happens to us. */
const pods = (request: AdmissionRequest, context: AnswerContext): Answer => {
  try {
    const admission = admitPodSigned(request, context);
    return { status: 200, body: reviewResponse(request.uid, admission), result: admission.result };
  } catch (error) {
    const { uid, namespace } = request;
    context.logger.error({ error, namespace, requestUid: uid }, 'a pod is admitted without its plan');
    const warnings = ['connectionbudget.io: this pod is admitted without its plan, see the log of the webhook'];
    return { status: 200, body: reviewResponse(uid, { result: 'Allowed', warnings }), result: 'Failed' };
  }
};

const budgets = (request: AdmissionRequest, { surroundings, logger }: AnswerContext): Answer => {
  try {
    const admission = admitBudget(request, surroundings);
    const answer = { status: 200, body: reviewResponse(request.uid, admission), result: admission.result };
    return admission.result === 'Refused'
      ? { ...answer, refusedField: admission.refusal.causes[0]?.field ?? '' }
      : answer;
  } catch (error) {
    logger.error({ error, namespace: request.namespace, requestUid: request.uid }, 'a budget could not be judged');
    return { status: 500, body: 'the budget could not be judged\n', result: 'Failed' };
  }
};

export const answerFor = (path: WebhookPath, body: Buffer, context: AnswerContext): Answer => {
  const request = parseReview(body);
  if (request === undefined) return { status: 400, body: 'no AdmissionReview v1\n', result: 'Malformed' };
  return path === 'mutate-pods' ? pods(request, context) : budgets(request, context);
};
