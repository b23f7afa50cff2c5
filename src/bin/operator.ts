import { once } from 'node:events';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type Controller, startController } from '../controller/run.ts';
import { apiMetrics } from '../kube/api-metrics.ts';
import { createKubeClient, type KubeClient } from '../kube/client.ts';
import { inClusterKubeConfig, type KubeConfig, readKubeConfig } from '../kube/kube-config.ts';
import type { Answered } from '../kube/transport.ts';
import { createLogger, type Logger, logLevels } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { type Gate, serveObservability } from '../observability/serve-observability.ts';
import { startWebhook, webhookNamesIn } from '../webhook/run.ts';

/** The operator: the controller and the webhook in one process. Every replica serves and observes, one writes. */

const usage = `Usage: operator [flags]

  --namespace NAME             where the Lease, the Secrets and the Service are (POD_NAMESPACE)
  --identity NAME              who this replica is (POD_NAME, else the host's name)
  --kubeconfig FILE            instead of the service account (KUBECONFIG)
  --context NAME               of the kubeconfig
  --host ADDRESS               where both ports listen; default: all addresses
  --webhook-port PORT          default 8443
  --webhook-service NAME       default connectionbudget-webhook
  --webhook-extra-host NAME    one more name in the certificate; may be repeated
  --webhook-drain-seconds N    how long to serve after SIGTERM; default 10
  --observability-port PORT    /healthz, /readyz and /metrics; default 8080
  --log-level LEVEL            ${logLevels.join(', ')}; default info`;

const port = z.coerce.number().int().min(0).max(65535);

const settingsSchema = z.strictObject({
  namespace: z.string().min(1, 'a namespace is required: --namespace or POD_NAMESPACE'),
  identity: z.string().min(1),
  kubeconfig: z.string().optional(),
  context: z.string().optional(),
  host: z.string().optional(),
  'webhook-port': port.default(8443),
  'webhook-service': z.string().min(1).default('connectionbudget-webhook'),
  'webhook-extra-host': z.array(z.string()).default([]),
  'webhook-drain-seconds': z.coerce.number().min(0).max(600).default(10),
  'observability-port': port.default(8080),
  'log-level': z.enum(logLevels).default('info'),
});
type Settings = z.output<typeof settingsSchema>;

const flag = { type: 'string' } as const;
const flags = {
  namespace: flag,
  identity: flag,
  kubeconfig: flag,
  context: flag,
  host: flag,
  'webhook-port': flag,
  'webhook-service': flag,
  'webhook-extra-host': { type: 'string', multiple: true },
  'webhook-drain-seconds': flag,
  'observability-port': flag,
  'log-level': flag,
} as const;

/** Throws what parseArgs or zod throws. */
const readSettings = (): Settings => {
  const { env, argv } = process;
  const { values } = parseArgs({ args: argv.slice(2), options: flags, strict: true });
  return settingsSchema.parse({
    namespace: env['POD_NAMESPACE'] ?? '',
    identity: env['POD_NAME'] ?? hostname(),
    ...(env['KUBECONFIG'] === undefined ? {} : { kubeconfig: env['KUBECONFIG'] }),
    ...values,
  });
};

const kubeConfigFor = ({ kubeconfig, context }: Settings): KubeConfig => {
  if (kubeconfig !== undefined) return readKubeConfig(kubeconfig, context);
  const { env } = process;
  const location = z.object({ host: z.string().min(1), port }).safeParse({
    host: env['KUBERNETES_SERVICE_HOST'],
    port: env['KUBERNETES_SERVICE_PORT'],
  });
  if (!location.success) throw new Error('this is no pod of a cluster, and no --kubeconfig was given');
  return inClusterKubeConfig(location.data);
};

interface Process {
  readonly settings: Settings;
  readonly config: KubeConfig;
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Counts the calls to the API server. */
  readonly answered: (answered: Answered) => void;
  /** Fires first: stop serving and leading. */
  readonly stopping: AbortController;
  /** Fires when nobody asks any more. */
  readonly deaf: AbortController;
  /** Fires last: probes are answered until then. */
  readonly silent: AbortController;
  webhookIsReady: boolean;
}

const gatesOf = ({ stopping, webhookIsReady }: Process, controller: Controller): readonly Gate[] => {
  const running = { gate: 'running', isOpen: !stopping.signal.aborted, reason: 'stopping' };
  if (!running.isOpen) return [running];
  return [
    running,
    ...controller.watches().map(({ resource, hasSynced }) => ({
      gate: resource,
      isOpen: hasSynced,
      reason: `${resource} are not listed yet`,
    })),
    { gate: 'webhook', isOpen: webhookIsReady, reason: 'the webhook does not serve yet' },
  ];
};

const abortOf = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort');
};

/** Only from whole answers: a pod that is admitted before the caches are filled would stay without its plan. */
const serveWebhook = async (running: Process, controller: Controller): Promise<void> => {
  const { settings, client, logger, metrics, stopping } = running;
  await Promise.race([controller.synced, abortOf(stopping.signal)]);
  if (stopping.signal.aborted) return;
  const webhook = await startWebhook({
    client,
    surroundings: controller.surroundings,
    hurry: controller.hurry,
    names: { ...webhookNamesIn(settings.namespace), service: settings['webhook-service'] },
    port: settings['webhook-port'],
    ...(settings.host === undefined ? {} : { host: settings.host }),
    extraHosts: settings['webhook-extra-host'],
    drainMs: settings['webhook-drain-seconds'] * 1000,
    metrics,
    logger: logger.child({ part: 'webhook' }),
    onReady: (isReady) => {
      running.webhookIsReady = isReady;
    },
    signal: stopping.signal,
  });
  logger.info({ port: webhook.port }, 'the webhook serves');
  await webhook.closed;
};

/** A cache that nobody fills any more answers as if nothing changed: better to start anew. Rejects when one has ended. */
const endOfWatches = async ({ stopped }: Controller): Promise<never> => {
  await stopped;
  throw new Error('the watches have ended');
};

/** Serves until it is told to stop; then: not ready, drained and Lease given back, watches ended, probes ended. */
const run = async (running: Process): Promise<void> => {
  const { settings, config, client, logger, metrics, stopping, deaf, silent } = running;
  const { namespace, identity, host } = settings;
  const controller = startController({
    config,
    client,
    namespace,
    identity,
    answered: running.answered,
    logger: logger.child({ part: 'controller' }),
    metrics,
    leadSignal: stopping.signal,
    signal: deaf.signal,
  });
  const observability = await serveObservability({
    port: settings['observability-port'],
    ...(host === undefined ? {} : { host }),
    gates: () => gatesOf(running, controller),
    metrics,
    signal: silent.signal,
  });
  logger.info({ port: observability.port }, 'probes and metrics are served');
  const parts = [controller.retired, serveWebhook(running, controller)];
  try {
    await Promise.race([Promise.all(parts), endOfWatches(controller)]);
  } finally {
    stopping.abort();
    await Promise.allSettled(parts);
    deaf.abort();
    await Promise.allSettled([controller.stopped]);
    await client.close();
    silent.abort();
    await observability.closed;
  }
};

const main = async (): Promise<number> => {
  let settings: Settings;
  let config: KubeConfig;
  try {
    settings = readSettings();
    config = kubeConfigFor(settings);
  } catch (error) {
    const text = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    process.stderr.write(`${text}\n\n${usage}\n`);
    return 2;
  }
  const logger = createLogger({ level: settings['log-level'], name: 'operator' });
  const metrics = createMetrics();
  const answered = apiMetrics(metrics);
  const running: Process = {
    settings,
    config,
    client: createKubeClient(config, { connections: 4, answered }),
    logger,
    metrics,
    answered,
    stopping: new AbortController(),
    deaf: new AbortController(),
    silent: new AbortController(),
    webhookIsReady: false,
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => running.stopping.abort(signal));
  try {
    await run(running);
    logger.info({}, 'the operator has stopped');
    return 0;
  } catch (error) {
    // What had to wait when the signal came gives up with the signal itself.
    if (error === 'SIGTERM' || error === 'SIGINT') return 0;
    logger.error({ error }, 'the operator failed');
    return 1;
  }
};

process.exitCode = await main();
