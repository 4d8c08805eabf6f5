import { useEffect, useState } from "react";
import { type SearchHit, search } from "../api/local.ts";
import { useEngine } from "../store/engine.ts";
import { titleOf } from "../store/groups.ts";
import { go } from "../store/route.ts";

const WAIT_MS = 180;

/** Places inside sessions that contain the text, from the engine's index. */
export function SearchHits({ text }: { text: string }) {
  const [hits, setHits] = useState<{ text: string; found: SearchHit[] | null }>({ text: "", found: [] });
  const sessions = useEngine((state) => state.sessions);
  useEffect(() => {
    const ended = new AbortController();
    const timer = setTimeout(() => {
      search(text, ended.signal).then(
        (found) => setHits({ text, found }),
        () => !ended.signal.aborted && setHits({ text, found: null }),
      );
    }, WAIT_MS);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [text]);
  if (hits.found === null)
    return <p className="px-2 py-2 text-meta text-ink-3">The contents could not be searched just now.</p>;
  if (hits.found.length === 0) return null;
  return (
    <section className="mt-3" data-testid="search-hits">
      <h2 className="px-2 text-meta font-medium tracking-wide text-ink-2 uppercase">Inside sessions</h2>
      <ul>
        {hits.found.slice(0, 40).map((hit) => {
          const summary = sessions.get(hit.session_id);
          return (
            <li key={`${hit.session_id} ${hit.seq}`}>
              <button
                type="button"
                onClick={() => go({ screen: "session", id: hit.session_id, event: `seq:${hit.seq}` })}
                className="w-full rounded px-2 py-1 text-left outline-offset-[-2px] hover:bg-hover"
              >
                <span className="block truncate text-small">
                  {summary === undefined ? hit.session_id : titleOf(summary)}
                </span>
                <span className="line-clamp-2 text-meta text-ink-3">{hit.snippet}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
