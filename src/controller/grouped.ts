/** Values by key, and by a group that each is in. */
export interface Grouped<T> {
  readonly put: (key: string, group: string, value: T) => void;
  readonly remove: (key: string, group: string) => void;
  readonly in: (group: string) => Iterable<T>;
}

export const createGrouped = <T>(): Grouped<T> => {
  const groups = new Map<string, Map<string, T>>();
  return {
    put: (key, group, value) => {
      const members = groups.get(group) ?? new Map<string, T>();
      members.set(key, value);
      groups.set(group, members);
    },
    remove: (key, group) => {
      const members = groups.get(group);
      members?.delete(key);
      if (members?.size === 0) groups.delete(group);
    },
    in: (group) => groups.get(group)?.values() ?? [],
  };
};
