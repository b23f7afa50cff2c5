import { parseArgs } from 'node:util';

import * as z from 'zod';

import { agentSysctls } from '../agent/planned-sysctls.ts';
import { usualTiming } from '../agent/publish.ts';
import type { AgentOptions } from '../agent/agent-options.ts';
import { spreadModes } from '../agent/pod-spread.ts';
import { runtimeNames } from '../agent/runtime-process.ts';
import { logLevels } from '../observability/logger.ts';
import { spreadObjectPath } from './spread-object.ts';

/** A flag, or the variable CONNECTIONBUDGET_ and its name in capitals: --nri-socket, CONNECTIONBUDGET_NRI_SOCKET. */
const flags = z.strictObject({
  'node-name': z.string().min(1).max(253),
  'nri-socket': z.string().startsWith('/').default('/var/run/nri/nri.sock'),
  'keys-directory': z.string().startsWith('/').default('/etc/connectionbudget/keys'),
  'proc-root': z.string().startsWith('/').default('/proc'),
  'proc-mount': z.string().startsWith('/').optional(),
  'runtime-names': z.string().min(1).default(runtimeNames.join(',')),
  'maximum-nofile': z.coerce.number().int().min(1).max(1_073_741_816).default(1_048_576),
  'allowed-sysctls': z.string().default(agentSysctls.join(',')),
  'cni-configuration-folder': z.string().startsWith('/').default('/etc/cni/net.d'),
  'cni-program-folders': z.string().startsWith('/').default('/opt/cni/bin'),
  spread: z.enum(spreadModes).default('pod-cgroup'),
  'bpffs-folder': z.string().startsWith('/').default('/sys/fs/bpf'),
  'cgroup-folder': z.string().startsWith('/').default('/sys/fs/cgroup'),
  'address-folder': z.string().startsWith('/').default('/run/connectionbudget'),
  kubeconfig: z.string().min(1).optional(),
  port: z.coerce.number().int().min(0).max(65535).default(8081),
  'log-level': z.enum(logLevels).default('info'),
});
type Flags = z.output<typeof flags>;
type FlagName = keyof Flags;

const flagNames = Object.keys(flags.shape) as readonly FlagName[];

const usualAgentTiming = {
  verifyEveryMs: 15_000,
  factsEveryMs: 300_000,
  leasesEveryMs: 60_000,
  firstSightMs: 10_000,
  publish: usualTiming,
} as const;

export class OptionError extends Error {
  override readonly name = 'OptionError';
  readonly kind = 'InvalidOption';
}

export type ParsedOptions = Omit<AgentOptions, 'logger' | 'version' | 'workerUrl'> & {
  readonly logLevel: Flags['log-level'];
};

/** Throws OptionError with a line for each option that is wrong. */
export function agentOptionsFrom(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  const parsed = flags.safeParse({ ...fromEnvironment(env), ...fromArguments(args) });
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`);
    throw new OptionError(lines.join('\n'));
  }
  const { data } = parsed;
  const caps = { maximumNofile: data['maximum-nofile'], sysctls: new Set(allowedSysctls(data['allowed-sysctls'])) };
  return {
    nodeName: data['node-name'],
    nriSocketPath: data['nri-socket'],
    keysDirectory: data['keys-directory'],
    procRoot: data['proc-root'],
    procMount: data['proc-mount'],
    runtimeNames: listOf(data['runtime-names']),
    caps,
    podNetwork: {
      configurationFolder: data['cni-configuration-folder'],
      programFolders: listOf(data['cni-program-folders']),
    },
    addressFolder: data['address-folder'],
    spread: {
      mode: data.spread,
      objectPath: spreadObjectPath(),
      bpffsFolder: data['bpffs-folder'],
      cgroupFolder: data['cgroup-folder'],
    },
    api: apiLocationFor(data.kubeconfig, env),
    observabilityPort: data.port,
    timing: usualAgentTiming,
    logLevel: data['log-level'],
  };
}

function fromArguments(args: readonly string[]): Readonly<Record<string, string>> {
  const options = Object.fromEntries(flagNames.map((name) => [name, { type: 'string' as const }]));
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    return Object.fromEntries(
      Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const entries = flagNames.flatMap((name) => {
    const value = env[variableOf(name)];
    return value === undefined || value === '' ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries);
}

const variableOf = (flag: string): string => `CONNECTIONBUDGET_${flag.replaceAll('-', '_').toUpperCase()}`;

function apiLocationFor(
  kubeconfig: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): AgentOptions['api'] {
  if (kubeconfig !== undefined) return { type: 'Kubeconfig', file: kubeconfig };
  const host = env['KUBERNETES_SERVICE_HOST'];
  if (host === undefined) throw new OptionError('--kubeconfig: required outside of a cluster');
  return { type: 'InCluster', host, port: Number(env['KUBERNETES_SERVICE_PORT'] ?? 443) };
}

/** Only fewer than those that belong to a pod's namespace alone. */
function allowedSysctls(text: string): readonly string[] {
  const names = listOf(text);
  const known: ReadonlySet<string> = new Set(agentSysctls);
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return names;
  throw new OptionError(`--allowed-sysctls: the agent cannot set ${unknown.join(', ')}`);
}

const listOf = (text: string): readonly string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);
