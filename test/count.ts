import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** Prints "N passed, N failed" of vitest's JSON report, named by the first argument. Without tests it fails. */
const report = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numFailedTestSuites: z.int(),
  success: z.boolean(),
});
const { numPassedTests, numFailedTests, success } = report.parse(
  JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')),
);
const failed = success ? numFailedTests : Math.max(1, numFailedTests);
console.log(`${numPassedTests} passed, ${failed} failed`);
process.exitCode = numPassedTests === 0 || failed > 0 ? 1 : 0;
