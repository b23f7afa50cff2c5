/** Values by key, and by a group that each is in. */
export interface Grouped<T> {
  readonly put: (key: string, group: string, value: T) => void;
  readonly remove: (key: string, group: string) => void;
  readonly in: (group: string) => Iterable<T>;
  readonly count: (group: string) => number;
}

export const createGrouped = <T>(): Grouped<T> => {
  const groups = new Map<string, Map<string, T>>();
  return {
    put: (key, group, value) => {
      const members = groups.get(group);
      if (members === undefined) groups.set(group, new Map([[key, value]]));
      else members.set(key, value);
    },
    remove: (key, group) => {
      const members = groups.get(group);
      members?.delete(key);
      if (members?.size === 0) groups.delete(group);
    },
    in: (group) => groups.get(group)?.values() ?? [],
    count: (group) => groups.get(group)?.size ?? 0,
  };
};
