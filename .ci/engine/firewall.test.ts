import { expect, test } from "vitest";
import { lostRules } from "./firewall.ts";

test("what another engine lost is put back in its order, and nothing else", () => {
  const before = new Map([
    [
      "iptables filter",
      [
        "-P FORWARD DROP",
        "-N DOCKER",
        "-A FORWARD -o docker0 -j DOCKER",
        "-A DOCKER -d 172.17.0.2/32 -p tcp --dport 80 -j ACCEPT",
        "-A DOCKER -d 172.17.0.3/32 -p tcp --dport 81 -j ACCEPT",
        "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
        "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
      ],
    ],
    ["ip6tables nat", []],
  ]);
  const now = new Map([
    ["iptables filter", ["-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2"]],
  ]);
  expect(lostRules(before, now)).toEqual([
    { command: "iptables", table: "filter", rule: "-A DOCKER -d 172.17.0.3/32 -p tcp --dport 81 -j ACCEPT" },
    { command: "iptables", table: "filter", rule: "-A DOCKER -d 172.17.0.2/32 -p tcp --dport 80 -j ACCEPT" },
  ]);
  expect(lostRules(before, before)).toEqual([]);
});
