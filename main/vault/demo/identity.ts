/** How the offline demo model is named and how it labels itself. */

/** Opens the first message of every demo session; also how the demo knows a conversation to be its own. */
export const INTRODUCTION =
  "I am Longhaul's offline demo, not an AI model. I cannot do tasks of your own. I play one small, real coding task so " +
  "that you can watch a session work: a program with a bug, a test that finds it, and the fix. The files and the test " +
  "runs are real, and you may stop or kill Longhaul at any moment: the session resumes where it was.";

/** Opens a summary written by the demo. */
export const SUMMARY_TITLE = "Longhaul demo summary";

export const HOW_TO_CONNECT =
  "To give an agent a task of your own, enter a model's key or address under Settings, or run `longhaul model set`.";
