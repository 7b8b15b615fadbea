package org.lqf.report;

/** A picture that is drawn from numbers. */
public interface Plot {

  /** One svg element; text in it is escaped. */
  String svg();
}
