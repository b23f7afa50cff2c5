import type { ConnectionBudgetStatus } from '../api/budget-status.ts';
import { controllerFieldManager, group } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { eventFor, type Happening } from '../kube/event.ts';
import { isKubeError } from '../kube/kube-error.ts';
import { applyDeclared } from '../kube/undeclared-fields.ts';
import type { Logger } from '../observability/logger.ts';
import { budgetApiVersion, budgets, type CustomObject } from './resources.ts';
import { budgetKey, type StoredBudget } from './cluster.ts';
import { type StoredStatus, storedStatusOf } from './stored-status.ts';
import type { Transition } from './transitions.ts';

/** The writes of the leader: statuses and Events. */
export interface Writer {
  /** The status as it is stored, also when the cache has not seen our last write yet. */
  readonly storedStatus: (budget: StoredBudget) => StoredStatus | undefined;
  /** Writes what is not there yet; nothing where nothing changed. Throws KubeError. */
  readonly writeStatus: (budget: StoredBudget, status: ConnectionBudgetStatus) => Promise<'Written' | 'Unchanged'>;
  /** Telling the same again does nothing. Throws KubeError. */
  readonly tell: (regarding: Happening['regarding'], transition: Transition) => Promise<void>;
  /** Keys of the budgets whose status was written without what the stored CRD does not declare. */
  readonly incomplete: ReadonlySet<string>;
  readonly forget: (key: string) => void;
}

export interface WriterOptions {
  readonly client: KubeClient;
  /** Who reports, e.g. the pod's name. */
  readonly identity: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

interface Written {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly status: StoredStatus;
}

/** Resource versions of one kind are decimal numbers that only grow (KEP-5504). */
const isNewer = (a: string, b: string): boolean => (a.length === b.length ? a > b : a.length > b.length);

/** What is cut off may leave an end that no name has: "a.-" before the dot of the id. */
export const eventNameFor = (regarding: string, id: string): string =>
  `${regarding.slice(0, 200).replace(/[-.]+$/, '')}.${id}`;

const reportingController = `${group}/controller`;

/** A status has one writer: docs/decisions/0007-status-is-ours.md. Nothing else is ever applied with force. */
const statusApplierOf =
  ({ client, logger, signal }: WriterOptions, leftOut: (key: string) => void) =>
  (budget: StoredBudget, status: ConnectionBudgetStatus): Promise<CustomObject> => {
    const { namespace, name, uid } = budget;
    const target = { resource: budgets, namespace, name, subresource: 'status' } as const;
    const options = { fieldManager: controllerFieldManager, force: true, signal };
    return applyDeclared(
      // With the uid: an object of the same name that came after this one is another budget.
      { metadata: { uid }, status },
      (body) => client.apply<CustomObject>(target, body, options),
      (fields) => {
        leftOut(budgetKey(budget));
        logger.warn(
          { namespace, budget: name, fields },
          'left out of the status: the CustomResourceDefinition is of an older version',
        );
      },
    );
  };

const tellerOf =
  ({ client, identity, signal }: WriterOptions): Writer['tell'] =>
  async (regarding, { id, type, reason, action, note }) => {
    const happening = { regarding, type, reason, action, note, reportingController, reportingInstance: identity };
    const event = eventFor(happening, new Date());
    const name = eventNameFor(regarding.name, id);
    try {
      await client.createEvent({ ...event, metadata: { ...event.metadata, name } }, { signal });
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
    }
  };

export const createWriter = (options: WriterOptions): Writer => {
  const written = new Map<string, Written>();
  const incomplete = new Set<string>();
  const storedStatus = (budget: StoredBudget): StoredStatus | undefined => {
    const own = written.get(budgetKey(budget));
    if (own?.uid === budget.uid && isNewer(own.resourceVersion, budget.resourceVersion)) return own.status;
    written.delete(budgetKey(budget));
    return budget.status;
  };
  const applyStatus = statusApplierOf(options, (key) => incomplete.add(key));
  return {
    storedStatus,
    incomplete,
    writeStatus: async (budget, status) => {
      const stored = storedStatusOf(status);
      if (stored.digest === storedStatus(budget)?.digest) return 'Unchanged';
      const key = budgetKey(budget);
      incomplete.delete(key);
      const answer = await applyStatus(budget, status);
      written.set(key, {
        uid: budget.uid,
        resourceVersion: answer.metadata?.resourceVersion ?? '',
        status: incomplete.has(key) ? { ...stored, digest: '' } : stored,
      });
      return 'Written';
    },
    tell: tellerOf(options),
    forget: (key) => {
      written.delete(key);
      incomplete.delete(key);
    },
  };
};

export const regardingBudget = ({ namespace, name, uid }: StoredBudget): Happening['regarding'] => ({
  apiVersion: budgetApiVersion,
  kind: 'ConnectionBudget',
  namespace,
  name,
  uid,
});
