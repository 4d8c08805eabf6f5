/** The grants of each session, as the engine registered them. In memory: a restarted broker knows none and refuses. */
import { z } from "zod";
import type { McpGrant, RepositoryGrant, SessionGrants, VariableGrant } from "../../contract/vaults/grants.ts";
import { Refusal } from "../refusal.ts";

const id = z.string().regex(/^[\w-]{1,128}$/);
const credential = z.strictObject({
  vault_id: id,
  credential_id: id,
  secret_id: z.string().regex(/^[0-9a-f]{32}$/),
  issuer: z.string().min(1).max(4096),
});
const webUrl = z
  .string()
  .max(2048)
  .regex(/^https?:\/\//i)
  .refine((url) => URL.canParse(url));
const shape = z.strictObject({
  mcp_servers: z
    .array(z.strictObject({ id: z.string().regex(/^[0-9a-f]{32}$/), url: webUrl, credential: credential.nullable() }))
    .max(1_000),
  repositories: z
    .array(
      z.strictObject({
        resource_id: id,
        url: webUrl,
        token: credential.nullable(),
        branch: z.string().regex(/^refs\/heads\/[\w./-]{1,200}$/),
        push: z.enum(["allow", "ask", "deny"]),
      }),
    )
    .max(1_000),
  variables: z
    .array(
      z.strictObject({
        credential,
        name: z.string().regex(/^[A-Za-z_]\w{0,255}$/),
        placeholder: z.string().regex(/^[\w-]{16,128}$/),
        hosts: z.array(z.string().min(1).max(253)).max(64).nullable(),
        header: z.boolean(),
        body: z.boolean(),
      }),
    )
    .max(1_000),
});

export class Grants {
  readonly #known = new Map<string, SessionGrants>();

  /** Replaces what the session may use. Throws {@link Refusal} that names the wrong field. */
  set(sessionId: string, grants: unknown): void {
    const result = shape.safeParse(grants);
    if (!result.success) {
      const where = ["grants", ...(result.error.issues[0]?.path ?? [])].join(".");
      throw new Refusal(400, "invalid_request_error", `${where}: is not what this route takes.`);
    }
    this.#known.set(sessionId, result.data);
  }

  forget(sessionId: string): void {
    this.#known.delete(sessionId);
  }

  /** Throws {@link Refusal} `grants_unknown` or `not_granted`. @param id of the route's path */
  mcpServer(sessionId: string, id: string): McpGrant {
    const server = this.#of(sessionId).mcp_servers.find((grant) => grant.id === id);
    if (server !== undefined) return server;
    throw notGranted("This session's agents have no such MCP server.");
  }

  /** Repositories attached to the session. Throws {@link Refusal} `grants_unknown`. */
  repositories(sessionId: string): readonly RepositoryGrant[] {
    return this.#of(sessionId).repositories;
  }

  /** Variables whose placeholders the session's sandbox holds. Throws {@link Refusal} `grants_unknown`. */
  variables(sessionId: string): readonly VariableGrant[] {
    return this.#of(sessionId).variables;
  }

  #of(sessionId: string): SessionGrants {
    const grants = this.#known.get(sessionId);
    if (grants !== undefined) return grants;
    const text = "What this session may use is not known since the broker started. The engine registers it again.";
    throw new Refusal(403, "permission_error", text, "grants_unknown");
  }
}

export function notGranted(text: string): Refusal {
  return new Refusal(403, "permission_error", text, "not_granted");
}
