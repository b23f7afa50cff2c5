import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { plannedFacts } from '../api/connection-node.ts';
import { demandFor } from '../api/demand.ts';
import { printableLines } from '../api/printable.ts';
import type { NodeFacts } from '../planner/demand.ts';
import { plan } from '../planner/plan.ts';
import { CannotHereError } from './cannot-here.ts';
import { type DoctorCommandOptions, examine } from './doctor.ts';
import { InputError } from './input-file.ts';
import { nodeJson, readNodeFile } from './node-file.ts';
import { runtimePid } from './node.ts';
import { planPage } from './page/plan-page.ts';
import { proofPage } from './page/proof-page.ts';
import { type PlannedBudget, planJson } from './plan-json.ts';
import { explainText, planText } from './plan-text.ts';
import {
  isImpossibleHere,
  isProven,
  proofJson,
  proofText,
  proveBudgets,
  type ProveCommandOptions,
  type Terminal,
} from './prove.ts';
import { type BudgetFile, readBudgets } from './read-budgets.ts';

/** Exit statuses of the command; a proof that is not as predicted is a failed one. */
const exitStatus = { done: 0, failed: 1, badInput: 2, notFeasible: 3, cannotHere: 4 } as const;

type Format = 'text' | 'json' | 'yaml' | 'html';

interface PlanOptions {
  readonly file: string;
  readonly node?: string;
  readonly output: Format;
}

/** What a run of the command writes and ends with. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const printed = (value: unknown, format: Format): string =>
  format === 'yaml' ? stringify(value, { aliasDuplicateObjects: false }) : `${JSON.stringify(value, null, 2)}\n`;

/** How budgets are told: for people, for programs, and as a page. */
interface Telling<T> {
  readonly text: (item: T) => string;
  readonly json: (item: T) => object;
  readonly page: (items: readonly T[]) => string;
}

const told = <T>(items: readonly T[], { text, json, page }: Telling<T>, format: Format): string => {
  if (format === 'text') return `${items.map(text).join('\n\n')}\n`;
  if (format === 'html') return page(items);
  const objects = items.map(json);
  return printed(objects.length === 1 ? objects[0] : objects, format);
};

const plannedBudgets = ({ budgets, observedFor }: BudgetFile, node: NodeFacts | undefined): readonly PlannedBudget[] =>
  budgets.map((budget) => {
    const demand = demandFor(budget.spec, observedFor(budget));
    return { budget, demand, plan: plan(demand, node) };
  });

const planOutcome = async (options: PlanOptions, text: (planned: PlannedBudget) => string): Promise<Outcome> => {
  const node = options.node === undefined ? undefined : await readNodeFile(options.node);
  const planned = plannedBudgets(await readBudgets(options.file), node);
  const status = planned.every(({ plan: { feasible } }) => feasible) ? exitStatus.done : exitStatus.notFeasible;
  const stdout = told(planned, { text, json: planJson, page: planPage }, options.output);
  return { status, stdout, stderr: '' };
};

/** libc comes with it, so it is loaded for this command alone. */
const nodeOutcome = async ({ output }: { readonly output: Format }): Promise<Outcome> => {
  const { readNodeFacts } = await import('../linux/node-facts.ts');
  const signal = AbortSignal.timeout(5000);
  const facts = await readNodeFacts({ signal, runtimePid: runtimePid() ?? process.ppid });
  return { status: exitStatus.done, stdout: printed(nodeJson(plannedFacts(facts)), output), stderr: '' };
};

const proveOutcome = async (
  options: ProveCommandOptions & { readonly output: Format },
  terminal: Terminal,
): Promise<Outcome> => {
  const proven = await proveBudgets(options, terminal);
  const status = proven.every(isProven) ? exitStatus.done : exitStatus.failed;
  const stdout = told(proven, { text: proofText, json: proofJson, page: proofPage }, options.output);
  return { status, stdout, stderr: '' };
};

const doctorOutcome = async (
  options: DoctorCommandOptions & { readonly output: Format },
  { signal }: Terminal,
): Promise<Outcome> => {
  const { object, text } = await examine(options, signal);
  const stdout = options.output === 'text' ? `${text}\n` : printed(object, options.output);
  return { status: exitStatus.done, stdout, stderr: '' };
};

const outputOption = (formats: readonly Format[], initial: Format): Option =>
  new Option('-o, --output <format>', 'how to print').choices(formats).default(initial);

const addPlanCommand = (
  program: Command,
  use: { readonly name: string; readonly about: string; readonly run: (options: PlanOptions) => Promise<void> },
): void => {
  program
    .command(use.name)
    .description(use.about)
    .requiredOption('-f, --file <file>', 'YAML or JSON with ConnectionBudgets; "-" is standard input')
    .option('--node <file>', 'facts of a node, as `connection-budget node` prints them')
    .addOption(outputOption(['text', 'json', 'yaml', 'html'], 'text'))
    .action(use.run);
};

const addProveCommand = (
  program: Command,
  run: (options: Parameters<typeof proveOutcome>[0]) => Promise<void>,
): void => {
  program
    .command('prove')
    .description(
      'opens the declared connections for real, before and after the plan, in network namespaces of its own; exit status 1 when it is not as predicted, 4 when this machine cannot',
    )
    .requiredOption('-f, --file <file>', 'YAML or JSON with ConnectionBudgets; "-" is standard input')
    .option('--scale <part>', 'prove the same shape smaller: 0.01 is a hundredth of ranges, limits and counts', '1')
    .option(
      '--raise-host-limits',
      'raise limits of this machine (fs.file-max, fs.epoll.max_user_watches, nf_conntrack_max) that are too low for both ends, while the proof runs',
    )
    .addOption(outputOption(['text', 'json', 'yaml', 'html'], 'text'))
    .action(run);
};

const addDoctorCommand = (
  program: Command,
  run: (options: Parameters<typeof doctorOutcome>[0]) => Promise<void>,
): void => {
  program
    .command('doctor')
    .description(
      'what is set and used on this machine, of a process or in a network namespace, and how many more connections fit before which limit; exit status 4 when this machine cannot',
    )
    .option('--pid <pid>', 'a process and all below it, and the network namespace that it is in')
    .option('--netns <namespace>', 'a network namespace: a path, or its name for ip-netns')
    .option('--top <rows>', 'rows of each table', '10')
    .option('--all', 'all rows')
    .addOption(outputOption(['text', 'json', 'yaml'], 'text'))
    .action(run);
};

const build = (finish: (outcome: Outcome) => void, terminal: Terminal): Command => {
  const program = new Command('connection-budget')
    .description('Plans, explains and proves the TCP connections that a pod must hold. Needs no cluster.')
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  addPlanCommand(program, {
    name: 'plan',
    about: 'what the pod and its nodes need, and the limit that binds; exit status 3 when one is not feasible',
    run: async (options) => finish(await planOutcome(options, planText)),
  });
  addPlanCommand(program, {
    name: 'explain',
    about: 'the plan in sentences with their arithmetic and a bar per limit',
    run: async (options) => finish(await planOutcome(options, explainText)),
  });
  addProveCommand(program, async (options) => finish(await proveOutcome(options, terminal)));
  addDoctorCommand(program, async (options) => finish(await doctorOutcome(options, terminal)));
  program
    .command('node')
    .description('the limits of the machine that it runs on, for plan --node')
    .addOption(outputOption(['json', 'yaml'], 'json'))
    .action(async (options: { readonly output: Format }) => finish(await nodeOutcome(options)));
  return program;
};

const failureOf = (error: unknown, help: string): Outcome => {
  if (isImpossibleHere(error) || error instanceof CannotHereError)
    return { status: exitStatus.cannotHere, stdout: '', stderr: `${printableLines(error.message)}\n` };
  if (error instanceof InputError) return { status: exitStatus.badInput, stdout: '', stderr: `${error.message}\n` };
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'commander.helpDisplayed' || code === 'commander.help')
    return { status: exitStatus.done, stdout: help, stderr: '' };
  const message = error instanceof Error ? error.message : String(error);
  const status = code.startsWith('commander.') ? exitStatus.badInput : exitStatus.failed;
  return { status, stdout: '', stderr: `${printableLines(message)}\n` };
};

const silent: Terminal = { signal: new AbortController().signal, writeProgress: () => undefined };

/** Runs the command for `args`, the words behind the program's name. Never throws. */
export const runCommand = async (args: readonly string[], terminal: Terminal = silent): Promise<Outcome> => {
  let outcome: Outcome | undefined;
  let help = '';
  const program = build((done) => {
    outcome = done;
  }, terminal);
  program.configureOutput({ writeOut: (text) => (help += text), writeErr: () => undefined });
  for (const command of program.commands) command.configureOutput(program.configureOutput());
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    return failureOf(error, help);
  }
  return outcome ?? { status: exitStatus.badInput, stdout: '', stderr: program.helpInformation() };
};
