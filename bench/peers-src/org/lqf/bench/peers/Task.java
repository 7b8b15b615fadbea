package org.lqf.bench.peers;

/** The same work on one engine: everything is loaded and allocated when the task is made. */
interface Task extends AutoCloseable {

  void run() throws Exception;

  /** What the last run computed, in the order of lqf, to be compared with another engine. */
  float[] result() throws Exception;

  @Override
  void close() throws Exception;
}
