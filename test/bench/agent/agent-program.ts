import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { writeRootfs } from '../../../deploy/image.ts';
import { imageContents, programs } from '../../../deploy/image-contents.ts';

/** The agent as the image has it, and how the DaemonSet starts it. */

const { signal } = new AbortController();
const installation = join(import.meta.dirname, '..', '..', '..', 'deploy', 'install.yaml');
const script = '/app/agent.js';

const daemonSet = z.object({
  kind: z.literal('DaemonSet'),
  spec: z.object({
    template: z.object({
      spec: z.object({
        containers: z.tuple([
          z.object({
            args: z.array(z.string()),
            env: z.array(z.object({ name: z.string(), value: z.string().optional() })),
          }),
        ]),
      }),
    }),
  }),
});

/** What of the node a container sees elsewhere. */
const outsideOfContainers = ['--proc-root=/proc', '--bpffs-folder=/sys/fs/bpf', '--cgroup-folder=/sys/fs/cgroup'];

export interface AgentStart {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** As deploy/install.yaml starts it, with further flags, the later of which win. */
export function agentStart(rootfs: string, flags: readonly string[]): AgentStart {
  const objects = parseAllDocuments(readFileSync(installation, 'utf8')).map((document): unknown => document.toJS());
  const found = objects.map((object) => daemonSet.safeParse(object)).find(({ success }) => success);
  const [container] = found?.data?.spec.template.spec.containers ?? [];
  if (container === undefined) throw new Error(`${installation} has no DaemonSet`);
  const args = container.args.map((arg) => (arg === script ? join(rootfs, script) : arg));
  return {
    command: [join(rootfs, 'node'), ...args, ...outsideOfContainers, ...flags],
    env: Object.fromEntries(
      container.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const])),
    ),
  };
}

export async function writeAgent(rootfs: string): Promise<void> {
  mkdirSync(rootfs);
  const wanted = programs.filter(({ name }) => name === 'agent');
  await writeRootfs(await imageContents(wanted, signal), rootfs, signal);
}

export async function ended(process: ChildProcess, by: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exit = once(process, 'exit');
  process.kill(by);
  await exit;
}
