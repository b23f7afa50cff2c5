import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { connectionBudgetCrd, connectionNodeCrd } from '../../../src/api/crd.ts';
import { planAnnotation } from '../../../src/api/names.ts';
import { createKubeClient, type KubeClient } from '../../../src/kube/client.ts';
import { readKubeConfig } from '../../../src/kube/kube-config.ts';
import { budgetsConfiguration, podsConfiguration } from '../../apiserver/webhook-registration.ts';
import { type ApiServer, startApiServer } from '../../cluster/lab/api-server.ts';
import { freePorts } from '../../cluster/lab/ports.ts';
import { outboundBudget } from '../../webhook/budgets.ts';
import { podOf, reviewOf, workloads } from './pods.ts';

/** A real API server with what every peer looks for: CRDs, a budget, a recommendation of VPA's, the pod's owners. */

const { signal } = new AbortController();

export interface Setting {
  readonly server: ApiServer;
  readonly client: KubeClient;
  /** Of our webhook, which the API server asks about pods of namespace `messaging` alone. */
  readonly ourPort: number;
  /** As it is created. */
  readonly pod: object;
  /** As webhooks are asked about it. */
  readonly review: object;
}

interface Stored {
  readonly metadata: { readonly uid: string; readonly annotations?: Readonly<Record<string, string>> };
}

type Post = (path: string, body: unknown, query?: Readonly<Record<string, string>>) => Promise<Stored>;

const postingTo =
  (client: KubeClient): Post =>
  async (path, body, query = {}) =>
    (await client.transport.send({ method: 'POST', path, body, query }, { signal })) as Stored;

/** A kind is served some time after its definition was stored. */
const eventually = async <T>(work: () => Promise<T>): Promise<T> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
};

/** Pepr's own programs install it before a module starts. */
const peprStoreCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'peprstores.pepr.dev' },
  spec: {
    group: 'pepr.dev',
    scope: 'Namespaced',
    names: { kind: 'PeprStore', plural: 'peprstores', singular: 'peprstore' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { data: { type: 'object', additionalProperties: { type: 'string' } } },
          },
        },
      },
    ],
  },
};

const installCrds = async (post: Post, vpaCrds: string): Promise<void> => {
  const documents = parseAllDocuments(await readFile(vpaCrds, 'utf8'));
  const theirs = documents.map((document) => document.toJS() as unknown).filter((crd) => crd !== null);
  for (const crd of [connectionBudgetCrd(), connectionNodeCrd(), peprStoreCrd, ...theirs]) {
    await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
  }
};

const createNamespaces = async (post: Post): Promise<void> => {
  const namespaces = {
    'connectionbudget-system': {},
    'pepr-system': {},
    messaging: { 'connectionbudget.io/enabled': 'true' },
    theirs: {},
    plain: {},
  };
  for (const [name, labels] of Object.entries(namespaces)) {
    await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  }
};

const recommend = async (client: KubeClient, post: Post): Promise<void> => {
  const path = '/apis/autoscaling.k8s.io/v1/namespaces/messaging/verticalpodautoscalers';
  const vpa = {
    apiVersion: 'autoscaling.k8s.io/v1',
    kind: 'VerticalPodAutoscaler',
    metadata: { name: 'gateway' },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'gateway' },
      updatePolicy: { updateMode: 'Initial' },
    },
  };
  await eventually(async () => post(path, vpa));
  const target = { cpu: '1500m', memory: '3Gi' };
  const containerRecommendations = ['program', 'exporter'].map((containerName) => ({ containerName, target }));
  const conditions = [{ type: 'RecommendationProvided', status: 'True', lastTransitionTime: '2026-11-23T12:00:00Z' }];
  const body = { status: { recommendation: { containerRecommendations }, conditions } };
  const patch = { method: 'PATCH', contentType: 'application/merge-patch+json' } as const;
  await client.transport.send({ ...patch, path: `${path}/gateway/status`, body }, { signal });
};

const createWorkload = async (post: Post, namespace: string): Promise<string> => {
  const { deployment, replicaSet } = workloads();
  const path = `/apis/apps/v1/namespaces/${namespace}`;
  const { metadata } = await post(`${path}/deployments`, deployment);
  return (await post(`${path}/replicasets`, replicaSet(metadata.uid))).metadata.uid;
};

const typed = (kind: string, body: object) => ({ apiVersion: 'admissionregistration.k8s.io/v1', kind, ...body });

const askOurWebhook = async (post: Post, port: number): Promise<void> => {
  const path = '/apis/admissionregistration.k8s.io/v1';
  const pods = typed('MutatingWebhookConfiguration', podsConfiguration(port));
  await post(`${path}/mutatingwebhookconfigurations`, pods);
  const budgets = typed('ValidatingWebhookConfiguration', budgetsConfiguration(port));
  await post(`${path}/validatingwebhookconfigurations`, budgets);
};

/** Has the API server ask another webhook about pods of namespace `theirs`. */
export const askTheirWebhook = async ({ client, server, pod }: Setting, url: string): Promise<void> => {
  const caBundle = (await readFile(join(server.dir, 'certificates', 'ca.crt'))).toString('base64');
  const [ours] = podsConfiguration(0).webhooks;
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': 'theirs' } };
  const webhook = { ...ours, name: 'pods.theirs.test', clientConfig: { url, caBundle }, namespaceSelector };
  const body = { metadata: { name: 'theirs' }, webhooks: [webhook] };
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
  const post = postingTo(client);
  await post(path, typed('MutatingWebhookConfiguration', body));
  await eventually(async () => {
    const { metadata } = await post('/api/v1/namespaces/theirs/pods', pod, { dryRun: 'All' });
    if (metadata.annotations?.[planAnnotation] === undefined) throw new Error('the other webhook is not asked yet');
  });
};

export const startSetting = async (dir: string, vpaCrds: string): Promise<Setting> => {
  const server = await startApiServer({ dir, onProgress: (message) => process.stderr.write(`${message}\n`) });
  const client = createKubeClient(readKubeConfig(server.kubeconfig));
  const post = postingTo(client);
  await installCrds(post, vpaCrds);
  await createNamespaces(post);
  const pod = podOf(await createWorkload(post, 'messaging'));
  await recommend(client, post);
  const budget = outboundBudget() as object;
  const metadata = { name: 'gateway', namespace: 'messaging' };
  const budgetsPath = '/apis/connectionbudget.io/v1alpha1/namespaces/messaging/connectionbudgets';
  await eventually(async () => post(budgetsPath, { ...budget, metadata }));
  const review = reviewOf(await post('/api/v1/namespaces/messaging/pods', pod, { dryRun: 'All' }));
  const [ourPort = 0] = await freePorts(1, signal);
  await askOurWebhook(post, ourPort);
  return { server, client, ourPort, pod, review };
};
