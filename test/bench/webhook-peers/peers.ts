import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultCertificatePolicy, nextCertificateSet } from '../../../src/webhook/certificate-set.ts';
import { freePorts } from '../../cluster/lab/ports.ts';
import { here, peprVersion, type VpaFiles, vpaVersion } from './builds.ts';
import type { Setting } from './setting.ts';

/** A webhook in a process of its own. */
export interface Peer {
  readonly name: string;
  /** Where it is asked about pods. */
  readonly url: string;
  readonly pid: number;
  /** Ends it. */
  readonly stop: () => Promise<void>;
}

export interface Programs {
  readonly operator: string;
  readonly controllerRuntime: string;
  readonly vpa: VpaFiles;
  readonly pepr: string;
}

interface Command {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const { signal } = new AbortController();

/** Its output goes to a file of its name. */
const start = async (dir: string, command: Command): Promise<ChildProcess> => {
  const log = await open(join(dir, `${command.name.replaceAll(/[^\w.-]/g, '-')}.log`), 'w');
  const child = spawn(command.file, command.args, {
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, ...command.environment },
  });
  await once(child, 'spawn');
  await log.close();
  return child;
};

const peerOf = (name: string, url: string, child: ChildProcess): Peer => ({
  name,
  url,
  pid: child.pid ?? 0,
  stop: async () => {
    const exited = once(child, 'exit');
    if (child.exitCode === null && child.kill('SIGKILL')) await exited;
  },
});

/** tls.crt and tls.key, for those that are given a certificate. */
const writeCertificate = async (dir: string): Promise<string> => {
  const folder = join(dir, 'certificates');
  await mkdir(folder, { recursive: true });
  const moment = { nowMs: Date.now(), hosts: ['127.0.0.1'], policy: defaultCertificatePolicy };
  const { server, authorities } = nextCertificateSet(undefined, moment);
  await writeFile(join(folder, 'tls.crt'), server.certificate);
  await writeFile(join(folder, 'tls.key'), server.privateKey);
  await writeFile(join(folder, 'ca.crt'), authorities[0]?.certificate ?? '');
  return folder;
};

const operatorCommand = (program: string, { server, ourPort }: Setting): Command => ({
  name: 'connection-budget',
  file: process.execPath,
  args: [
    program,
    `--kubeconfig=${server.kubeconfig}`,
    '--namespace=connectionbudget-system',
    '--identity=bench',
    '--host=127.0.0.1',
    `--webhook-port=${ourPort}`,
    '--webhook-extra-host=127.0.0.1',
    '--observability-port=0',
  ],
});

interface Place {
  readonly certificates: string;
  readonly port: number;
}

const controllerRuntimeCommand = (program: string, { certificates, port }: Place): Command => ({
  name: 'controller-runtime 0.25',
  file: program,
  args: [`-port=${port}`, `-certificates=${certificates}`],
});

const vpaCommand = (program: string, { certificates, port }: Place, { server }: Setting): Command => ({
  name: `VPA ${vpaVersion}`,
  file: program,
  args: [
    `--kubeconfig=${server.kubeconfig}`,
    `--port=${port}`,
    '--address=127.0.0.1:0',
    '--register-webhook=false',
    '--status-lease-namespace=connectionbudget-system',
    `--client-ca-file=${join(certificates, 'ca.crt')}`,
    `--tls-cert-file=${join(certificates, 'tls.crt')}`,
    `--tls-private-key=${join(certificates, 'tls.key')}`,
  ],
});

const peprCommand = (module: string, { certificates, port }: Place, { server }: Setting): Command => ({
  name: `Pepr ${peprVersion}`,
  file: process.execPath,
  args: [module],
  environment: {
    KUBECONFIG: server.kubeconfig,
    LOG_LEVEL: 'info',
    PEPR_API_PATH: 'bench',
    PEPR_PORT: `${port}`,
    SSL_CERT_PATH: join(certificates, 'tls.crt'),
    SSL_KEY_PATH: join(certificates, 'tls.key'),
  },
});

const bareCommand = ({ certificates, port }: Place): Command => ({
  name: 'node:https alone',
  file: process.execPath,
  args: [join(here, 'bare-server.ts'), `${port}`, certificates],
});

/** Ours first. */
export const startPeers = async (dir: string, programs: Programs, setting: Setting): Promise<readonly Peer[]> => {
  const certificates = await writeCertificate(dir);
  const ports = await freePorts(4, signal);
  const [first, second, third, fourth] = ports.map((port): Place => ({ certificates, port }));
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error();
  const commands: readonly (readonly [string, Command])[] = [
    [`${setting.ourPort}/mutate-pods?timeout=2s`, operatorCommand(programs.operator, setting)],
    [`${first.port}/mutate-pods`, controllerRuntimeCommand(programs.controllerRuntime, first)],
    [`${second.port}/`, vpaCommand(programs.vpa.program, second, setting)],
    [`${third.port}/mutate/bench`, peprCommand(programs.pepr, third, setting)],
    [`${fourth.port}/`, bareCommand(fourth)],
  ];
  const peers: Peer[] = [];
  for (const [address, command] of commands) {
    peers.push(peerOf(command.name, `https://127.0.0.1:${address}`, await start(dir, command)));
  }
  return peers;
};
