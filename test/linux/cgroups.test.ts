import { expect, it } from 'vitest';
import { parseCgroup2Root, parseOwnCgroup2 } from '../../src/linux/cgroups.ts';

it.each([
  { fact: 'alone', mounts: 'cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n', root: '/sys/fs/cgroup' },
  {
    fact: 'beside version 1',
    mounts: 'cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n',
    root: '/sys/fs/cgroup/unified',
  },
  { fact: 'nowhere', mounts: 'proc /proc proc rw 0 0\n', root: undefined },
])('cgroups of version 2 are mounted $fact', ({ mounts, root }) => {
  expect(parseCgroup2Root(mounts)).toBe(root);
});

it('the line without controllers names the cgroup of version 2', () => {
  expect(parseOwnCgroup2('4:memory:/a\n0::/kubepods/pod1\n')).toBe('/kubepods/pod1');
  expect(parseOwnCgroup2('4:memory:/a\n')).toBeUndefined();
});
