/**
 * What a network is, as data.
 *
 * <p>In come graph JSON, safetensors weights, or the builders of {@link org.lqf.model.Resnets}; out
 * goes an immutable, validated {@link org.lqf.model.Backbone} with batch norm folded away. It uses
 * the JDK and Jackson, and never computes a forward pass. Read {@link org.lqf.model.Layer} first,
 * then {@link org.lqf.model.Backbone}.
 */
@NullMarked
package org.lqf.model;

import org.jspecify.annotations.NullMarked;
