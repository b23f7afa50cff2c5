import { defineConfig } from 'vitest/config';

/**
 * unit: no set-up beyond this machine's kernel; kernel: the planner against it, one experiment at a time; apiserver: a real
 * kube-apiserver each; cluster: one real node, one file at a time. `test/run.ts` builds what they need first.
 */
/**
 * Where daemons or the kernel's timers are watched a loaded machine may miss a moment once. Never for what is pure or random:
 * it would hide a fault.
 */
const watching = { retry: 1 } as const;

const project = (name: string, include: readonly string[], rest: object = {}) => ({
  test: { name, include: [...include], ...rest },
});

export default defineConfig({
  test: {
    projects: [
      project(
        'unit',
        [
          'test/{addresses,api,agent,cli,controller,deploy,fuzz,house,kube,linux,nri,observability,planner,prove,soak,ttrpc,webhook}/**/*.test.ts',
        ],
        {
          sequence: { groupOrder: 0 },
          testTimeout: 30_000,
          hookTimeout: 120_000,
        },
      ),
      project('kernel', ['test/kernel/**/*.test.ts'], {
        ...watching,
        sequence: { groupOrder: 1 },
        testTimeout: 120_000,
        maxWorkers: 1,
        fileParallelism: false,
      }),
      project('apiserver', ['test/apiserver/**/*.test.ts'], {
        ...watching,
        sequence: { groupOrder: 2 },
        testTimeout: 60_000,
        hookTimeout: 120_000,
        maxWorkers: 1,
      }),
      project('cluster', ['test/cluster/**/*.test.ts'], {
        ...watching,
        sequence: { groupOrder: 3 },
        testTimeout: 300_000,
        hookTimeout: 900_000,
        maxWorkers: 1,
        fileParallelism: false,
      }),
    ],
  },
});
