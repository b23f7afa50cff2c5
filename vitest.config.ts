import { defineConfig } from 'vitest/config';

/**
 * unit: no set-up beyond this machine's kernel; kernel: the planner against it, one experiment at a time; apiserver: a real
 * kube-apiserver each; cluster: one real node, one file at a time. `test/run.ts` builds what they need first.
 */
const project = (name: string, include: readonly string[], rest: object = {}) => ({
  // Most tests watch real processes: a loaded machine may miss a moment once. What fails twice is a fault.
  test: { name, include: [...include], retry: 1, ...rest },
});

export default defineConfig({
  test: {
    projects: [
      project(
        'unit',
        [
          'test/{api,agent,cli,controller,deploy,house,kube,linux,nri,observability,planner,prove,ttrpc,webhook}/**/*.test.ts',
        ],
        {
          sequence: { groupOrder: 0 },
          testTimeout: 30_000,
          hookTimeout: 120_000,
        },
      ),
      project('kernel', ['test/kernel/**/*.test.ts'], {
        sequence: { groupOrder: 1 },
        testTimeout: 120_000,
        maxWorkers: 1,
        fileParallelism: false,
      }),
      project('apiserver', ['test/apiserver/**/*.test.ts'], {
        sequence: { groupOrder: 2 },
        testTimeout: 60_000,
        hookTimeout: 120_000,
        maxWorkers: 1,
      }),
      project('cluster', ['test/cluster/**/*.test.ts'], {
        sequence: { groupOrder: 3 },
        testTimeout: 300_000,
        hookTimeout: 900_000,
        maxWorkers: 1,
        fileParallelism: false,
      }),
    ],
  },
});
