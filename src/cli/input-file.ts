import { createReadStream } from 'node:fs';
import { isScalar, LineCounter, type Document, parseAllDocuments, visit, type YAMLMap } from 'yaml';
import { printableLines } from '../api/printable.ts';

/** Bad input: exit status 2. The message names file, field, value and rule, a line each, and commands no terminal. */
export class InputError extends Error {
  readonly kind = 'Input';

  constructor(message: string, options?: ErrorOptions) {
    super(printableLines(message), options);
  }
}

/** The whole of a large cluster's manifests is less; the parser takes some 2 s for it, and 20 times the memory. */
const mostBytes = 8 * 1024 * 1024;

const bytesOf = async (file: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of file === '-' ? process.stdin : createReadStream(file)) {
    length += Buffer.from(chunk).length;
    if (length > mostBytes) throw new Error('must be at most 8 MiB');
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
};

/** "-" is standard input. @throws InputError */
export const contentOf = async (file: string): Promise<string> => {
  try {
    return (await bytesOf(file)).toString('utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InputError(`${file}: cannot be read: ${why}`, { cause });
  }
};

const notYaml = (file: string, fault: unknown): InputError => {
  const [line = ''] = (fault instanceof Error ? fault.message : String(fault)).split('\n');
  return new InputError(`${file}: is not YAML: ${line.replace(/:$/, '')}`, { cause: fault });
};

const requireUnique = ({ items }: YAMLMap, lines: LineCounter): void => {
  const seen = new Set<unknown>();
  for (const { key } of items) {
    if (!isScalar(key)) continue;
    const { line, col } = lines.linePos(key.range?.[0] ?? 0);
    if (seen.has(key.value)) throw new Error(`Map keys must be unique at line ${line}, column ${col}`);
    if (key.value !== '<<') seen.add(key.value);
  }
};

/** The parser compares each key with all before it: 10 s for 20,000 keys. */
const requireUniqueKeys = (document: Document, lines: LineCounter): void =>
  visit(document, { Map: (_, map) => requireUnique(map, lines) });

/** The documents of a file as values. @throws InputError */
export const yamlDocuments = (file: string, content: string): readonly unknown[] => {
  const lineCounter = new LineCounter();
  // The parser's own warnings would go to the terminal, with what they warn of.
  const options = { prettyErrors: true, merge: true, uniqueKeys: false, logLevel: 'error', lineCounter } as const;
  return [...parseAllDocuments(content, options)].map((document) => {
    if (document.errors[0] !== undefined) throw notYaml(file, document.errors[0]);
    try {
      requireUniqueKeys(document, lineCounter);
      return document.toJS() as unknown;
    } catch (fault) {
      throw notYaml(file, fault);
    }
  });
};
