import { expect, test } from 'vitest';
import { createLineDecoder } from '../../src/kube/line-decoder.ts';
import { createListDecoder } from '../../src/kube/list-decoder.ts';
import { textWithoutManagedFields } from '../../src/kube/managed-fields.ts';

const pod = (name: string, managedFields: readonly unknown[]) => ({ metadata: { name, managedFields } });
const owned = [{ manager: 'kubelet', fieldsV1: { 'f:status': { 'k:{"type":"]"}': {} } } }];
const pods = ['a', 'b'].map((name) => pod(name, owned));
const bare = ['a', 'b'].map((name) => pod(name, []));

test('lines and pages are read without who owns which field', () => {
  const lines = createLineDecoder(1024, textWithoutManagedFields);
  const page = createListDecoder(1024, textWithoutManagedFields);

  const ofLines = [...lines.push(Buffer.from(pods.map((one) => `${JSON.stringify(one)}\n`).join('')))];
  const ofPage = [...page.push(Buffer.from(JSON.stringify({ items: pods })))];

  expect(ofLines.map((text) => JSON.parse(text) as unknown)).toEqual(bare);
  expect(ofPage.map((text) => JSON.parse(text) as unknown)).toEqual(bare);
});
