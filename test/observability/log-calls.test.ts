import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { logFaults } from './log-faults.ts';

const src = new URL('../../src', import.meta.url).pathname;

/** A call of a logger whose last argument is not a text in quotes. */
const callPattern = /\blogger\s*\.(?:debug|info|warn|error)\(((?:[^()]|\([^()]*\))*)\)/g;

const unsettledMessages = (source: string): readonly string[] =>
  [...source.matchAll(callPattern)].map(([, given = '']) => given.trim()).filter((given) => !/'[^'$]+',?$/.test(given));

test('every decision has one constant message', () => {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const sources = files.map((file) => readFileSync(join(src, file), 'utf8'));
  expect(sources.flatMap(unsettledMessages)).toEqual([]);
  expect(sources.flatMap((source) => [...source.matchAll(callPattern)]).length).toBeGreaterThan(20);
});

test('a message with data in it is caught', () => {
  expect(unsettledMessages('logger.info({ pods }, `planned ${pods} pods`);')).toHaveLength(1);
  expect(unsettledMessages("logger.info({ at: now() }, 'the pods are planned');")).toEqual([]);
});

test('keys and lines outside of the scheme are caught', () => {
  const good = { level: 'info', time: '2026-11-23T12:00:00.000Z', name: 'agent', message: 'started', port: 1 };
  expect(logFaults([good, { ...good, nested: { nodeName: 'a' } }])).toEqual([]);
  expect(
    logFaults([
      { ...good, 'node-name': 'a' },
      { ...good, Port: 2 },
      { ...good, message: 'pod 7 planned' },
    ]),
  ).toEqual([
    'the key node-name is not lowerCamelCase',
    'the key Port is not lowerCamelCase',
    '"pod 7 planned" is no constant sentence',
  ]);
  expect(logFaults([{ message: 'x', level: 30 }])).toHaveLength(3);
});
