import { backoffMs } from '../kube/backoff.ts';
import type { KubeClient } from '../kube/client.ts';
import { sleep } from '../kube/deadline.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { CertificatePolicy } from './certificate-set.ts';
import { type CertificateStore, createCertificateStore, type ServerCertificate } from './certificates.ts';
import type { KeyPolicy } from './key-ring.ts';
import { createKeyStore, type KeyStore } from './keys.ts';
import { startWebhookServer, type WebhookServer } from './server.ts';
import type { Surroundings } from './surroundings.ts';
import { createWebhookMetrics, observeKeys, type UpkeepStep, type WebhookMetrics } from './webhook-metrics.ts';

/** What belongs to one installation; the chart and this process agree on it. */
export interface WebhookNames {
  /** Where our Secrets, the ConfigMap and the Service are. */
  readonly namespace: string;
  readonly service: string;
  readonly mutatingConfiguration: string;
  readonly validatingConfiguration: string;
  readonly certificateSecret: string;
  readonly keySecret: string;
  readonly publicKeysConfigMap: string;
}

export const webhookNamesIn = (namespace: string): WebhookNames => ({
  namespace,
  service: 'connectionbudget-webhook',
  mutatingConfiguration: 'connectionbudget',
  validatingConfiguration: 'connectionbudget',
  certificateSecret: 'connectionbudget-webhook-certificates',
  keySecret: 'connectionbudget-signing-keys',
  publicKeysConfigMap: 'connectionbudget-public-keys',
});

export interface WebhookOptions {
  readonly client: KubeClient;
  readonly surroundings: Surroundings;
  /** Called at each review, which waits a moment for what it gives: what the surroundings missed of an outage of the API server. */
  readonly hurry?: () => Promise<unknown> | undefined;
  readonly names: WebhookNames;
  /** Default 8443; 0: a free one. */
  readonly port?: number;
  /** Default: all addresses. */
  readonly host?: string;
  /** Further names and IPv4 addresses in the certificate. */
  readonly extraHosts?: readonly string[];
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Called with true when it serves and may be reached, with false as soon as it is to stop. */
  readonly onReady: (isReady: boolean) => void;
  readonly signal: AbortSignal;
  /** How long it still serves after the signal: until every API server knows. Default 10,000. */
  readonly drainMs?: number;
  /** How often keys, certificate and caBundle are looked after. Default 60,000. */
  readonly upkeepMs?: number;
  readonly keyPolicy?: KeyPolicy;
  readonly certificatePolicy?: CertificatePolicy;
}

export interface Webhook {
  readonly port: number;
  /** Resolves when the signal fired and the last answer is out. */
  readonly closed: Promise<void>;
}

interface Parts {
  readonly options: WebhookOptions;
  readonly keys: KeyStore;
  readonly certificates: CertificateStore;
  readonly metrics: WebhookMetrics;
  /** Fires when an API server does not trust the certificate; another one for each round of upkeep. */
  distrusted: AbortController;
}

interface Prepared {
  readonly certificate: ServerCertificate;
  /** Whether every step succeeded; a failed one is tried again soon. */
  readonly isWell: boolean;
}

/** Prepares, serves, looks after itself, drains. Resolves when it serves; rejects when the port cannot be had. */
export const startWebhook = async (options: WebhookOptions): Promise<Webhook> => {
  const parts = partsFor(options);
  observeKeys(options.metrics, parts.keys.signing);
  const prepared = await prepare(parts);
  const { surroundings, hurry, logger, host, port = 8443 } = options;
  const address = host === undefined ? { port } : { port, host };
  const server = await startWebhookServer(
    {
      surroundings,
      ...(hurry === undefined ? {} : { hurry }),
      logger,
      certificate: prepared.certificate,
      metrics: parts.metrics,
      signer: parts.keys.signer,
      onDistrust: () => parts.distrusted.abort(),
      ...address,
    },
    options.signal,
  );
  options.onReady(true);
  return { port: server.port, closed: serveUntilAborted(parts, server, prepared) };
};

const partsFor = (options: WebhookOptions): Parts => {
  const { client, names, keyPolicy, certificatePolicy, extraHosts = [] } = options;
  const { namespace, mutatingConfiguration, validatingConfiguration } = names;
  const inCluster = `${names.service}.${namespace}.svc`;
  return {
    options,
    distrusted: new AbortController(),
    metrics: createWebhookMetrics(options.metrics),
    keys: createKeyStore({
      client,
      namespace,
      secretName: names.keySecret,
      configMapName: names.publicKeysConfigMap,
      ...(keyPolicy === undefined ? {} : { policy: keyPolicy }),
    }),
    certificates: createCertificateStore({
      client,
      namespace,
      secretName: names.certificateSecret,
      mutatingConfiguration,
      validatingConfiguration,
      hosts: [inCluster, `${inCluster}.cluster.local`, ...extraHosts],
      ...(certificatePolicy === undefined ? {} : { policy: certificatePolicy }),
    }),
  };
};

/** Until there are a signing key and a certificate; a caBundle that cannot be set yet is repaired later. */
const prepare = async (parts: Parts): Promise<Prepared> => {
  const { options, keys, certificates } = parts;
  for (let failures = 0; ; failures += 1) {
    options.signal.throwIfAborted();
    try {
      await keys.refresh(options.signal);
      const certificate = await certificates.refresh(options.signal);
      return { certificate, isWell: await keepTrusted(parts) };
    } catch (error) {
      options.logger.error({ error }, 'the webhook cannot start yet');
      await sleep(backoffMs({ baseMs: 500, maximumMs: 15_000 }, failures), options.signal);
    }
  }
};

/** After a failed step, such as a webhook configuration that is not there yet. */
const soonMs = 5_000;

const serveUntilAborted = async (
  parts: Parts,
  server: WebhookServer,
  { certificate, isWell }: Prepared,
): Promise<void> => {
  const { signal, onReady, drainMs = 10_000, upkeepMs = 60_000, logger } = parts.options;
  let state: Prepared = { certificate, isWell };
  parts.metrics.certificateExpires(certificate.expiresAtMs);
  while (!signal.aborted) {
    await untilUpkeep(parts, state.isWell ? upkeepMs : Math.min(soonMs, upkeepMs));
    if (!signal.aborted) state = await upkeep(parts, server, state.certificate);
  }
  onReady(false);
  logger.info({ drainMs }, 'the webhook drains');
  await server.drain(drainMs);
};

/** Whoever can reach the port can say that it does not trust: that makes rounds of upkeep of a few seconds at most. */
const untilUpkeep = async (parts: Parts, waitMs: number): Promise<void> => {
  const { signal } = parts.options;
  await sleep(Math.min(soonMs, waitMs), signal);
  await sleep(waitMs - soonMs, AbortSignal.any([signal, parts.distrusted.signal]));
  parts.distrusted = new AbortController();
};

/** The caBundle comes first: nobody is shown a certificate that API servers were not told of. */
const upkeep = async (parts: Parts, server: WebhookServer, current: ServerCertificate): Promise<Prepared> => {
  const { options, keys, certificates } = parts;
  const hasKeys = await attempt(parts, 'SigningKeys', () => keys.refresh(options.signal).then(() => true));
  const certificate = await attempt(parts, 'Certificate', () => certificates.refresh(options.signal));
  const isTrusted = await keepTrusted(parts);
  if (certificate !== undefined && certificate !== current) show(parts, server, certificate);
  return { certificate: certificate ?? current, isWell: hasKeys === true && certificate !== undefined && isTrusted };
};

const show = ({ options, metrics }: Parts, server: WebhookServer, certificate: ServerCertificate): void => {
  server.useCertificate(certificate);
  metrics.certificateExpires(certificate.expiresAtMs);
  options.logger.info({ expiresAt: new Date(certificate.expiresAtMs).toISOString() }, 'the certificate is renewed');
};

/** Whether every caBundle is right now. */
const keepTrusted = async (parts: Parts): Promise<boolean> => {
  const { options, certificates, metrics } = parts;
  const repaired = await attempt(parts, 'CaBundle', () => certificates.keepTrusted(options.signal));
  if (repaired === true) {
    metrics.caBundleRepaired();
    options.logger.warn({}, 'a caBundle was missing or wrong and is set');
  }
  return repaired !== undefined;
};

/** undefined where it failed: said, counted, and tried again at the next round. */
const attempt = async <T>(
  { options, metrics }: Parts,
  step: UpkeepStep,
  action: () => Promise<T>,
): Promise<T | undefined> => {
  try {
    return await action();
  } catch (error) {
    if (options.signal.aborted) return undefined;
    metrics.upkeepFailed(step);
    options.logger.error({ error, step }, 'the webhook could not look after itself');
    return undefined;
  }
};
