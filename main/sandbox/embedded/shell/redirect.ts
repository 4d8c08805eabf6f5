/**
 * Sends the output of a script's commands to one sink as each of them ends. just-bash hands over output only when a
 * whole script is done, standard output before standard error; with a redirection on every command it arrives live and
 * in order. Functions are left alone: their output must go where their caller wants it.
 */
import type { CommandNode, PipelineNode, ScriptNode, SimpleCommandNode, StatementNode } from "just-bash";

type Redirection = SimpleCommandNode["redirections"][number];
type Body = { body: StatementNode[] };

/** Commands whose redirections would outlive them, or that leave the script. */
const UNTOUCHED = new Set(["exec", "exit", "return", "break", "continue"]);
/** Redirections of standard input do not touch the output of what is inside. */
const INPUT = new Set(["<", "<<", "<<-", "<<<"]);

/** The statements of `script` as one group with its output and that of its parts sent to the file `sink`. */
export function redirected(script: ScriptNode, sink: string): StatementNode[] {
  const redirector = new Redirector(sink);
  const group: CommandNode = {
    type: "Group",
    body: redirector.statements(script.statements),
    redirections: redirector.both(),
  };
  const pipeline: PipelineNode = { type: "Pipeline", commands: [group], negated: false };
  return [{ type: "Statement", pipelines: [pipeline], operators: [], background: false }];
}

class Redirector {
  readonly #sink: string;

  constructor(sink: string) {
    this.#sink = sink;
  }

  both(): Redirection[] {
    return [this.#to(1, ">>", this.#sink), this.#to(2, ">&", "1")];
  }

  statements(statements: readonly StatementNode[]): StatementNode[] {
    return statements.map((statement) => ({
      ...statement,
      pipelines: statement.pipelines.map((pipeline) => this.#pipeline(pipeline)),
    }));
  }

  #to(fd: number, operator: ">>" | ">&", target: string): Redirection {
    return {
      type: "Redirection",
      fd,
      operator,
      target: { type: "Word", parts: [{ type: "Literal", value: target }] },
    };
  }

  #pipeline(pipeline: PipelineNode): PipelineNode {
    const last = pipeline.commands.length - 1;
    return {
      ...pipeline,
      commands: pipeline.commands.map((command, index) => {
        if (index === last) return this.#command(command);
        // What goes down the pipe stays; only its complaints are shown. `|&` pipes those too.
        if (pipeline.pipeStderr?.[index] === true || !("redirections" in command)) return command;
        return { ...command, redirections: [this.#to(2, ">>", this.#sink), ...command.redirections] };
      }),
    };
  }

  #command(command: CommandNode): CommandNode {
    switch (command.type) {
      case "SimpleCommand":
        return this.#simple(command);
      case "If":
        if (!onlyInput(command.redirections)) return this.#whole(command);
        return {
          ...command,
          clauses: command.clauses.map((clause) => ({
            condition: this.statements(clause.condition),
            body: this.statements(clause.body),
          })),
          elseBody: command.elseBody === null ? null : this.statements(command.elseBody),
        };
      case "While":
      case "Until":
        if (!onlyInput(command.redirections)) return this.#whole(command);
        return { ...this.#inside(command), condition: this.statements(command.condition) };
      case "For":
      case "CStyleFor":
      case "Group":
      case "Subshell":
        return onlyInput(command.redirections) ? this.#inside(command) : this.#whole(command);
      case "Case":
        if (!onlyInput(command.redirections)) return this.#whole(command);
        return { ...command, items: command.items.map((item) => this.#inside(item)) };
      case "FunctionDef":
      case "ArithmeticCommand":
      case "ConditionalCommand":
        return command;
    }
  }

  #simple(command: SimpleCommandNode): SimpleCommandNode {
    const first = command.name?.parts[0];
    // An assignment without a command has no output of its own.
    if (command.name === null) return command;
    if (command.name.parts.length === 1 && first?.type === "Literal" && UNTOUCHED.has(first.value)) return command;
    return { ...command, redirections: [...this.both(), ...command.redirections] };
  }

  #inside<T extends Body>(node: T): T {
    return { ...node, body: this.statements(node.body) };
  }

  #whole<T extends { redirections: Redirection[] }>(node: T): T {
    return { ...node, redirections: [...this.both(), ...node.redirections] };
  }
}

function onlyInput(redirections: readonly Redirection[]): boolean {
  return redirections.every(({ fd, operator }) => INPUT.has(operator) && (fd === null || fd === 0));
}
