import { z } from 'zod';
import { connectionBudgetStatus } from './budget-status.ts';
import { connectionBudgetSpec } from './connection-budget.ts';
import { connectionNodeStatus } from './connection-node.ts';
import { budgetPlural, group, nodePlural, version } from './names.ts';

/** Turns the zod schemas into CustomResourceDefinitions (apiextensions.k8s.io/v1, structural). */

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = Readonly<Record<string, Json>>;

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const withoutKeys = (node: JsonObject, keys: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(node).filter(([key]) => !keys.includes(key)));

/**
 * What a structural schema takes otherwise than JSON Schema: no additionalProperties beside properties (the API server
 * prunes and decodes strictly by itself), 64-bit integers named as such, string-or-integer unions by an extension.
 */
const structural = (node: Json): Json => {
  if (Array.isArray(node)) return node.map(structural);
  if (!isObject(node)) return node;
  if (node['x-kubernetes-int-or-string'] === true) return withoutKeys(node, ['anyOf', 'type']);
  const closed = isObject(node['properties']) ? withoutKeys(node, ['additionalProperties']) : node;
  const entries = Object.entries(closed).map(([key, value]) => [key, structural(value)] as const);
  const mapped: JsonObject = Object.fromEntries(entries);
  return mapped['type'] === 'integer' ? { ...mapped, format: 'int64' } : mapped;
};

/** A part of the object with its sentence for kubectl explain. */
const described = (schema: z.ZodType, description: string): Json => {
  const node = schemaOf(schema);
  return isObject(node) ? { ...node, description } : node;
};

const schemaOf = (schema: z.ZodType): Json =>
  structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as Json);

interface Kind {
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortName: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly description: string;
  readonly properties: JsonObject;
  readonly required: readonly string[];
  readonly columns: readonly JsonObject[];
}

const openApiSchema = ({ description, required, properties }: Kind): JsonObject => ({
  type: 'object',
  description,
  required,
  properties: {
    apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
    kind: { type: 'string', description: 'Kind of this object.' },
    metadata: { type: 'object' },
    ...properties,
  },
});

const crdFor = (kind: Kind): JsonObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${kind.plural}.${group}` },
  spec: {
    group,
    scope: kind.scope,
    names: {
      plural: kind.plural,
      singular: kind.singular,
      kind: kind.kind,
      listKind: `${kind.kind}List`,
      shortNames: [kind.shortName],
    },
    versions: [
      {
        name: version,
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: kind.columns,
        schema: { openAPIV3Schema: openApiSchema(kind) },
      },
    ],
  },
});

const conditionColumn = (type: string, priority = 0): JsonObject => ({
  name: type,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
  description: `Status of the condition ${type}.`,
  ...(priority === 0 ? {} : { priority }),
});

const column = (name: string, jsonPath: string, rest: JsonObject): JsonObject => ({ name, jsonPath, ...rest });

const ageColumn = column('Age', '.metadata.creationTimestamp', { type: 'date', description: 'Age of the object.' });

export const connectionBudgetCrd = (): JsonObject =>
  crdFor({
    plural: budgetPlural,
    singular: 'connectionbudget',
    kind: 'ConnectionBudget',
    shortName: 'connbudget',
    scope: 'Namespaced',
    description: 'ConnectionBudget declares how many TCP connections a pod must hold; the operator computes the rest.',
    properties: {
      spec: described(connectionBudgetSpec, 'What is declared: the connections that a pod must hold, and their path.'),
      status: described(
        connectionBudgetStatus,
        'What the controller found: the plan, what binds, and how far the pods are.',
      ),
    },
    required: ['spec'],
    columns: [
      column('Declared', '.status.plan.declaredConnections', {
        type: 'integer',
        description: 'Declared connections per pod.',
      }),
      column('Reachable', '.status.plan.reachableConnections', {
        type: 'integer',
        description: 'Reachable connections per pod.',
      }),
      column('Binds', '.status.bindingLimit.limit', { type: 'string', description: 'Limit that binds.' }),
      column('Pods', '.status.pods.matched', { type: 'integer', description: 'Running pods that match.' }),
      column('Peak', '.status.usage.peakConnections', {
        type: 'integer',
        description: 'Most TCP sockets that were seen in one pod.',
        priority: 1,
      }),
      conditionColumn('Feasible'),
      conditionColumn('Applied', 1),
      conditionColumn('Verified', 1),
      conditionColumn('Ready'),
      ageColumn,
    ],
  });

export const connectionNodeCrd = (): JsonObject =>
  crdFor({
    plural: nodePlural,
    singular: 'connectionnode',
    kind: 'ConnectionNode',
    shortName: 'connnode',
    scope: 'Cluster',
    description: "ConnectionNode says what a node's kernel offers and what its planned pods use; its agent writes it.",
    properties: { status: described(connectionNodeStatus, 'What the agent of the node saw.') },
    required: [],
    columns: [
      column('Nofile', '.status.facts.settableNofile', {
        type: 'integer',
        description: 'Highest hard nofile that can be set.',
      }),
      column('Conntrack', '.status.facts.conntrackMax', { type: 'integer', description: 'nf_conntrack_max.' }),
      column('Kernel', '.status.facts.kernelRelease', { type: 'string', description: 'Kernel release.' }),
      column('Connected', '.status.agent.connected', {
        type: 'boolean',
        description: 'Agent registered with the runtime.',
      }),
      ageColumn,
    ],
  });
