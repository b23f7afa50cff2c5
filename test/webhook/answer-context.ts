import { PassThrough } from 'node:stream';
import { nothingObserved } from '../../src/api/demand.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { admitPod } from '../../src/webhook/admit.ts';
import type { AnswerContext } from '../../src/webhook/answer.ts';
import { parsedBudget } from './budgets.ts';

const budget = parsedBudget();

/** A webhook that knows one budget and nothing else. */
export const context: AnswerContext = {
  admitPod,
  surroundings: {
    budgetsMeaning: () => [budget],
    observedFor: ({ namespace }) => nothingObserved(namespace),
    nodeFactsFor: () => undefined,
    namespaceLabels: () => undefined,
    attachment: () => undefined,
  },
  signer: () => ({ keyId: 'key', sign: () => Buffer.alloc(64) }),
  logger: createLogger({ level: 'error', name: 'test', destination: new PassThrough().resume() }),
};
