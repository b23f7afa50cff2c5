import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';

/** Which folder of src may import from which; a file in brackets narrows it to that file. docs/architecture.md has it too. */
const importTable: Readonly<Record<string, readonly string[]>> = {
  planner: [],
  api: ['planner'],
  linux: ['planner'],
  addresses: ['planner', 'api'],
  ttrpc: [],
  nri: ['ttrpc'],
  observability: [],
  kube: ['api', 'observability'],
  controller: ['planner', 'api', 'addresses', 'kube', 'observability'],
  webhook: ['planner', 'api', 'addresses', 'kube', 'observability'],
  agent: ['planner', 'api', 'addresses', 'nri', 'linux', 'observability', 'kube/connection-node.ts'],
  prove: ['planner', 'api', 'linux'],
  cli: ['planner', 'api', 'prove', 'linux', 'kube'],
};

const bin = 'bin';

interface Import {
  readonly file: string;
  readonly target: string;
}

const specifiers = /(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g;

const sourceFiles = (root: string): readonly string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => /\.[cm]?ts$/.test(file));

const importsOf = (root: string): readonly Import[] =>
  sourceFiles(root).flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(specifiers)].map(([, specifier = '']) => ({
      file,
      target: relative(root, normalize(join(root, dirname(file), specifier))),
    })),
  );

const folderOf = (file: string): string => file.split(sep)[0] ?? '';

const isAllowed = ({ file, target }: Import): boolean => {
  const from = folderOf(file);
  const to = folderOf(target);
  if (from === to || from === bin) return true;
  return (importTable[from] ?? []).some((entry) => entry === to || entry === target);
};

/** Imports under `root` (a src folder) that the table does not allow: "planner/plan.ts imports api/names.ts". */
export const forbiddenImports = (root: string): readonly string[] =>
  importsOf(root)
    .filter((entry) => !isAllowed(entry))
    .map(({ file, target }) => `${file} imports ${target}`);

/** Files that read process.env or process.argv outside src/bin, or import client-node outside src/kube. */
export const straySources = (root: string): readonly string[] =>
  sourceFiles(root).filter((file) => {
    const source = readFileSync(join(root, file), 'utf8');
    const readsProcess = folderOf(file) !== bin && /process\.(env|argv)\b/.test(source);
    const talksToKubernetes = folderOf(file) !== 'kube' && source.includes("'@kubernetes/client-node'");
    return readsProcess || talksToKubernetes;
  });
