import { expect, test } from 'vitest';
import { type Contents, differencesBetween } from './caches.ts';

const contents = (objects: Readonly<Record<string, string>>, digest = 1): Contents => ({
  plural: 'pods',
  objects: new Map(Object.entries(objects)),
  digest,
});

test.each<{ readonly name: string; readonly cache: Contents; readonly words: readonly string[] }>([
  { name: 'nothing', cache: contents({ a: '1', b: '2' }), words: [] },
  { name: 'an object missing', cache: contents({ a: '1' }, 2), words: ['pods b is missing in the cache'] },
  {
    name: 'one too many',
    cache: contents({ a: '1', b: '2', c: '3' }, 2),
    words: ['pods c is only in the cache'],
  },
  { name: 'another content', cache: contents({ a: '0', b: '2' }, 2), words: ['pods a differs'] },
  {
    name: 'another version of the same content',
    cache: contents({ a: '1', b: '2' }, 2),
    words: ['pods: versions differ'],
  },
])('a cache that differs by $name', ({ cache, words }) => {
  expect(differencesBetween(contents({ a: '1', b: '2' }), cache)).toEqual(words);
});
