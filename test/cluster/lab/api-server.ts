import { mkdir, readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { ensureComponents, type ComponentPaths } from './build.ts';
import { apiServerComponents } from './components.ts';
import { startControllerManager } from './controller-manager.ts';
import {
  administrator,
  createIdentity,
  writeClientKubeconfig,
  type ControlPlaneIdentity,
} from './control-plane-identity.ts';
import { ensureRequirements, pkiRequirements } from './debian.ts';
import { startEtcd } from './etcd.ts';
import { apiServerArguments } from './api-server-arguments.ts';
import { issueCertificate, type Certificate } from './pki.ts';
import { freePorts } from './ports.ts';
import { assertRunning, startDaemon, stopDaemon, type DaemonSpec } from './process.ts';
import { waitFor } from './wait.ts';

export type ApiServerOptions = {
  /** Everything of this API server is written here: state, certificates, logs/. The caller makes and removes it. */
  readonly dir: string;
  /** Default: none. It also covers building what is missing, which takes minutes the first time. */
  readonly signal?: AbortSignal;
  /** Where it listens. Default: a free port of 127.0.0.1. */
  readonly listen?: { readonly address: string; readonly port: number };
  /** Runs kube-controller-manager too (namespaces end, owners' dependents go, ReplicaSets make pods). Default false. */
  readonly controllerManager?: boolean;
  /** Further arguments of kube-apiserver, for example an admission configuration. */
  readonly extraArguments?: readonly string[];
  /** Default Parent: it ends with the process (or worker thread) that started it, even when that is killed. */
  readonly lifetime?: DaemonSpec['lifetime'];
  readonly serviceCidr?: string;
  readonly podCidr?: string;
  readonly onProgress?: (message: string) => void;
};

export type ApiServer = {
  readonly url: string;
  /** The path of an administrator's kubeconfig that needs no other file. */
  readonly kubeconfig: string;
  readonly dir: string;
  /** Speaks plain HTTP on loopback. */
  readonly etcdUrl: string;
  readonly identity: ControlPlaneIdentity;
  /** A server certificate (for a webhook, say) by the authority in `identity`. */
  issueServerCertificate(name: string, hosts: readonly string[]): Promise<Certificate>;
  stop(): Promise<void>;
};

const shutdownGraceMs = 2000;

/**
 * Starts a real etcd and kube-apiserver (and kube-controller-manager if asked for) of our own; several may run at the
 * same time. Ready when the promise resolves, about 4 s on two cores once built.
 *
 * In vitest:
 *
 *     const dir = await mkdtemp(join(tmpdir(), 'api-server-'));
 *     const server = await startApiServer({ dir });
 *     onTestFinished / afterAll(async () => { await server.stop(); await rm(dir, { recursive: true }); });
 *     const config = new KubeConfig(); config.loadFromFile(server.kubeconfig);
 *
 * Webhooks are registered by URL (https://127.0.0.1:PORT/…) with a certificate of `issueServerCertificate` and the file
 * `identity.authority.certificateFile` as caBundle. Without the controller-manager nobody makes the default service
 * accounts, so the admission plugin that asks for them is off, and pods can be created all the same.
 *
 * Throws LabError NotReady, DaemonExited (with the end of the log), BuildFailed or MissingProgram; nothing is left then.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const signal = options.signal ?? new AbortController().signal;
  const progress = { signal, onProgress: options.onProgress ?? (() => undefined) };
  await ensureRequirements(pkiRequirements, progress);
  const paths = await ensureComponents(apiServerComponents, progress);
  await mkdir(options.dir, { recursive: true });
  try {
    return await start({ ...options, signal }, paths);
  } catch (error) {
    await stopControlPlane(options.dir);
    throw error;
  }
}

/** Stops what startApiServer started in `dir`, from any process. */
export async function stopControlPlane(dir: string): Promise<void> {
  await Promise.all([stopDaemon(dir, 'kube-controller-manager', shutdownGraceMs), stopDaemon(dir, 'kube-scheduler')]);
  await stopDaemon(dir, 'kube-apiserver', shutdownGraceMs);
  await stopDaemon(dir, 'etcd', shutdownGraceMs);
}

type Paths = ComponentPaths<(typeof apiServerComponents)[number]>;

async function start(options: ApiServerOptions & { readonly signal: AbortSignal }, paths: Paths): Promise<ApiServer> {
  const { dir, signal } = options;
  const lifetime = options.lifetime ?? 'Parent';
  const [securePort = 0, client = 0, peer = 0] = await freePorts(3, signal);
  const listen = options.listen ?? { address: '127.0.0.1', port: securePort };
  const serviceCidr = options.serviceCidr ?? '10.0.0.0/24';
  const hosts = ['127.0.0.1', listen.address, firstAddressOf(serviceCidr)];
  const identity = await createIdentity({ dir, hosts, signal });
  const etcdUrl = await startEtcd({ dir, file: paths('etcd'), ports: { client, peer }, lifetime, signal });
  const args = apiServerArguments({ identity, etcdUrl, listen, serviceCidr, ...admission(options) });
  await startDaemon(dir, { name: 'kube-apiserver', file: paths('kube-apiserver'), args, lifetime });
  const url = `https://${listen.address}:${listen.port}`;
  await waitUntilReady({ dir, url, identity, signal });
  const { authority } = identity;
  const kubeconfig = await writeClientKubeconfig(administrator, { dir, server: url, authority, signal });
  if (options.controllerManager === true) {
    const file = paths('kube-controller-manager');
    const networks = { serviceCidr, podCidr: options.podCidr };
    await startControllerManager({ dir, file, url, identity, networks, lifetime, signal });
  }
  return {
    url,
    kubeconfig,
    dir,
    etcdUrl,
    identity,
    issueServerCertificate: (name, names) =>
      issueCertificate(authority, { name, commonName: name, usage: 'Server', hosts: names }, signal),
    stop: () => stopControlPlane(dir),
  };
}

function admission(options: ApiServerOptions): { readonly extraArguments: readonly string[] } {
  const withoutAccounts = options.controllerManager === true ? [] : ['--disable-admission-plugins=ServiceAccount'];
  return { extraArguments: [...withoutAccounts, ...(options.extraArguments ?? [])] };
}

type Readiness = {
  readonly dir: string;
  readonly url: string;
  readonly identity: ControlPlaneIdentity;
  readonly signal: AbortSignal;
};

async function waitUntilReady({ dir, url, identity, signal }: Readiness): Promise<void> {
  const ca = await readFile(identity.authority.certificateFile);
  const isReady = async () => {
    assertRunning(dir, 'kube-apiserver');
    return (await statusOf(`${url}/readyz`, ca, signal)) === 200;
  };
  await waitFor('kube-apiserver is ready', isReady, { signal, timeoutMs: 90_000, intervalMs: 100 });
}

function statusOf(url: string, ca: Buffer, signal: AbortSignal): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, signal, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** The address of the service "kubernetes": the first of the range. 10.96.16.0/20 → 10.96.16.1 */
function firstAddressOf(cidr: string): string {
  return cidr.replace(/\.0\/\d+$/, '.1');
}
