/** Letting a peer's answers gather before they are read: it is not woken for each of them. */

/**
 * How long a stream that gathers leaves its peer alone, in ms. The kernel adds its timer slack, 50 µs
 * (prctl(2), PR_SET_TIMERSLACK), and waking takes its time: 0.16 to 0.2 in all.
 */
const GATHER_MS = 0.1;

const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** A stream's `gather`. @param isOpen whether there is still something to wait for */
export function gatherer(isOpen: () => boolean): () => void {
  let gathering = false;
  return () => {
    if (gathering) return;
    gathering = true;
    // Last in this turn of the event loop: answers to what has arrived are on their way by then.
    // No timer of the runtime's is this short. So the whole thread sleeps, for less time than
    // the next write to a file may take.
    setImmediate(() => {
      gathering = false;
      if (isOpen()) Atomics.wait(never, 0, 0, GATHER_MS);
    });
  };
}
