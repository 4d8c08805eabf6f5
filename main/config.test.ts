import { homedir } from "node:os";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import {
  brokerEnvironment,
  defaultDataDir,
  engineEnvironment,
  readSettings,
  takeModelEndpoint,
  takeVaultPassphrase,
  UsageError,
} from "./config.ts";

describe("settings", () => {
  test("defaults: the platform's folder, a free port, resume by itself", () => {
    expect(readSettings({}, { HOME: "/home/ada" }, "linux")).toEqual({
      data_dir: "/home/ada/.local/share/longhaul",
      port: 0,
      sandbox: null,
      auto_resume: true,
      renderer: true,
      crash_at: null,
    });
  });

  test("each platform has its folder for application data", () => {
    expect(defaultDataDir({ HOME: "/h", XDG_DATA_HOME: "/data" }, "linux")).toBe("/data/longhaul");
    expect(defaultDataDir({ HOME: "/h", XDG_DATA_HOME: "relative" }, "linux")).toBe("/h/.local/share/longhaul");
    expect(defaultDataDir({ HOME: "/Users/ada" }, "darwin")).toBe("/Users/ada/Library/Application Support/Longhaul");
    expect(defaultDataDir({ APPDATA: "/roaming" }, "win32")).toBe("/roaming/Longhaul");
    expect(defaultDataDir({}, "linux")).toBe(resolve(homedir(), ".local/share/longhaul"));
  });

  test("a flag beats the environment, the environment beats the default", () => {
    const env = { HOME: "/h", LONGHAUL_DATA_DIR: "/from-env", LONGHAUL_SANDBOX: "docker", LONGHAUL_AUTO_RESUME: "0" };
    expect(readSettings({}, env, "linux")).toMatchObject({
      data_dir: "/from-env",
      sandbox: "docker",
      auto_resume: false,
    });
    const flags = { "data-dir": "/from-flag", sandbox: "embedded", "auto-resume": true, port: "8080", renderer: false };
    expect(readSettings(flags, env, "linux")).toMatchObject({
      data_dir: "/from-flag",
      sandbox: "embedded",
      auto_resume: true,
      port: 8080,
      renderer: false,
    });
  });

  test("a relative data directory is made absolute; an empty variable counts as unset", () => {
    expect(readSettings({ "data-dir": "here" }, {}).data_dir).toBe(resolve("here"));
    expect(readSettings({}, { HOME: "/h", LONGHAUL_DATA_DIR: "", LONGHAUL_SANDBOX: "" }, "linux").sandbox).toBeNull();
  });

  test.each([
    [{ port: "65536" }, {}, /--port 65536: .*0 to 65535/],
    [{ port: "-1" }, {}, /--port/],
    [{ port: "8e3" }, {}, /--port/],
    [{ "data-dir": " " }, {}, /--data-dir is empty/],
    [{ "data-dir": "a\0b" }, {}, /--data-dir contains a NUL/],
    [{ sandbox: "podman" }, {}, /--sandbox podman: use "docker" or "embedded"/],
    [{}, { LONGHAUL_SANDBOX: "vm" }, /LONGHAUL_SANDBOX=vm/],
    [{}, { LONGHAUL_AUTO_RESUME: "maybe" }, /LONGHAUL_AUTO_RESUME=maybe/],
    [{}, { LONGHAUL_CRASH_AT: "tool.aftr_result" }, /LONGHAUL_CRASH_AT=tool.aftr_result.*--list-crash-points/],
    [{}, { LONGHAUL_CRASH_AT: "tool.after_result:0" }, /LONGHAUL_CRASH_AT/],
    [{}, { LONGHAUL_CRASH_AT: "toString" }, /LONGHAUL_CRASH_AT/],
  ])("%j with %j is refused by name", (flags, env, message) => {
    expect(() => readSettings(flags, env)).toThrow(UsageError);
    expect(() => readSettings(flags, env)).toThrow(message);
  });

  test("a crash point that exists is taken", () => {
    expect(readSettings({}, { LONGHAUL_CRASH_AT: "tool.after_result:3" }).crash_at).toBe("tool.after_result:3");
  });
});

describe("model endpoint", () => {
  test("is taken once: nothing of it stays in the environment", () => {
    const env: Record<string, string | undefined> = {
      ANTHROPIC_BASE_URL: " http://127.0.0.1:11434 ",
      ANTHROPIC_API_KEY: "sk-1",
      ANTHROPIC_AUTH_TOKEN: "",
      ANTHROPIC_CUSTOM_HEADERS: "x-secret: 1",
      PATH: "/bin",
    };
    expect(takeModelEndpoint(env)).toEqual({ base_url: "http://127.0.0.1:11434", api_key: "sk-1" });
    expect(env).toEqual({ PATH: "/bin" });
    expect(takeModelEndpoint(env)).toEqual({});
  });

  test.each(["ollama", "ftp://host", "//host"])("a base URL like %s is refused, and still taken out", (url) => {
    const env: Record<string, string | undefined> = { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: "sk-1" };
    expect(() => takeModelEndpoint(env)).toThrow(/ANTHROPIC_BASE_URL is not an http/);
    expect(env).toEqual({});
  });

  test("a key in the URL, or one that no header can carry, is refused without being shown", () => {
    expect(() => takeModelEndpoint({ ANTHROPIC_BASE_URL: "https://user:hunter2@host" })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hunter2") }),
    );
    expect(() => takeModelEndpoint({ ANTHROPIC_API_KEY: "sk canary" })).toThrow(/ANTHROPIC_API_KEY contains spaces/);
    expect(() => takeModelEndpoint({ ANTHROPIC_API_KEY: "sk canary" })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("canary") }),
    );
  });
});

describe("passphrase for credentials", () => {
  test("is taken once, as it is", () => {
    const env: Record<string, string | undefined> = { LONGHAUL_VAULT_PASSPHRASE: " with spaces ", PATH: "/bin" };
    expect(takeVaultPassphrase(env)).toBe(" with spaces ");
    expect(env).toEqual({ PATH: "/bin" });
    expect(takeVaultPassphrase(env)).toBeNull();
  });

  test("one that protects nothing is refused without being shown, and still taken out", () => {
    const env: Record<string, string | undefined> = { LONGHAUL_VAULT_PASSPHRASE: "canary1" };
    expect(() => takeVaultPassphrase(env)).toThrow(/at least 8 characters/);
    expect(env).toEqual({});
    expect(() => takeVaultPassphrase({ LONGHAUL_VAULT_PASSPHRASE: "canary1" })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("canary1") }),
    );
  });
});

describe("environments of the children", () => {
  const env = {
    PATH: "/bin",
    HOME: "/h",
    ANTHROPIC_API_KEY: "sk-canary",
    anthropic_auth_token: "canary",
    GITHUB_TOKEN: "canary",
    AWS_SECRET_ACCESS_KEY: "canary",
    PGPASSWORD: "canary",
    LONGHAUL_VAULT_PASSPHRASE: "canary",
    DOCKER_HOST: "unix:///d.sock",
    LONGHAUL_CRASH_AT: "wake.after_lease",
    EMPTY: undefined,
  };

  test("the engine gets no key of any kind, and its crash point only when told", () => {
    expect(engineEnvironment(env, null)).toEqual({ PATH: "/bin", HOME: "/h", DOCKER_HOST: "unix:///d.sock" });
    expect(engineEnvironment(env, "wake.after_lease:2").LONGHAUL_CRASH_AT).toBe("wake.after_lease:2");
  });

  test("the broker gets no ANTHROPIC_*, no passphrase and no crash point", () => {
    const names = Object.keys(brokerEnvironment(env));
    expect(names).toContain("GITHUB_TOKEN");
    expect(names.filter((name) => /anthropic|crash|passphrase/i.test(name))).toEqual([]);
  });
});
