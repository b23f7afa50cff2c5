import { fileURLToPath } from 'node:url';
import { build, type BuildOptions, type BuildResult } from 'esbuild';

/** What the image runs, by the name of its bundle: /app/NAME.js. */
export type Program = { readonly name: string; readonly source: string };

export const checkout = fileURLToPath(new URL('..', import.meta.url));

const options: BuildOptions = {
  absWorkingDir: checkout,
  outdir: '.',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // koffi finds its native module by files; it stays a package of its own.
  external: ['koffi'],
  // Some packages are CommonJS and ask for Node's own modules by require(), which an ES module does not have.
  banner: {
    js:
      "import { createRequire as createRequireOfBundle } from 'node:module';\n" +
      'const require = createRequireOfBundle(import.meta.url);',
  },
  minifySyntax: true,
  minifyWhitespace: true,
  // Errors, classes and stack traces keep their names in logs. (keepNames names every closure whenever it is made.)
  minifyIdentifiers: false,
  legalComments: 'none',
  logLevel: 'silent',
};

/** Each program with all it imports in one file, NAME.js. Rejects where one does not bundle. */
export function bundle(programs: readonly Program[]): Promise<BuildResult<{ metafile: true; write: false }>> {
  return build({
    ...options,
    metafile: true,
    write: false,
    entryPoints: Object.fromEntries(programs.map(({ name, source }) => [name, source])),
  });
}
