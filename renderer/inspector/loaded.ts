import { useCallback, useEffect, useRef, useState } from "react";
import { type Problem, problemOf } from "../api/problem.ts";

interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
  loading: boolean;
  reload: () => void;
}

/** Loads something when `key` changes; the former value stays until the new one is there. null loads nothing. */
export function useLoaded<T>(key: string | null, read: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; value: T | null; problem: Problem | null }>({
    key: null,
    value: null,
    problem: null,
  });
  const [round, setRound] = useState(0);
  // `read` is a new function on every render; `key` says when it means something else.
  const newest = useRef(read);
  newest.current = read;
  useEffect(() => {
    void round;
    if (key === null) return;
    let wanted = true;
    newest.current().then(
      (value) => wanted && setState({ key, value, problem: null }),
      (error: unknown) => wanted && setState({ key, value: null, problem: problemOf(error) }),
    );
    return () => {
      wanted = false;
    };
  }, [key, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const current = state.key === key;
  return { value: state.value, problem: current ? state.problem : null, loading: key !== null && !current, reload };
}
