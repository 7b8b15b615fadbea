package org.lqf.engine;

import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntSupplier;
import org.lqf.binding.Lqf;
import org.lqf.binding.LqfPlan;
import org.lqf.model.Backbone;
import org.lqf.model.Layer;
import org.lqf.model.LayerUnits;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;

/**
 * A backbone compiled for a device: f(x; w0) and its Jacobian J at w0 as a linear map.
 *
 * <p>{@link #forward} is the linearisation: it fixes the images and keeps the activations. {@link
 * #jvp} and {@link #vjp} then apply J and its transpose as often as a solver wants. Rules per
 * layer: {@code ops.h}; the model: Achille et al. 2021 (LQF), arXiv 2012.11140.
 *
 * <p>n is the number of images of the last forward, 1 ≤ n ≤ {@link #maxBatch}. Results for an image
 * depend neither on the images beside it nor on the number of threads, bit for bit. Calls are safe
 * from several threads, but a forward changes what the next jvp means: threads that share a plan
 * use {@link #predict}, which is one step.
 *
 * <p>A plan of a network with batch norm ({@link org.lqf.model.TrainableNetwork#graph}) is for
 * training at the current weights: there batch norm takes the statistics of the batch, so that an
 * image's outputs do depend on the images beside it, and jvp, jacobian and predict are refused.
 */
public final class Plan extends Handle {

  final LqfPlan pointer;
  private final Backbone backbone;
  private final LayerUnits linearised;
  private final int maxBatch;
  private final int imageSize;
  private volatile int images; // n, 0 before forward
  private volatile boolean moved; // w0, from the backbone's
  private final AtomicLong forwards = new AtomicLong();

  Plan(LqfPlan plan, Backbone backbone, LayerUnits linearised, int maxBatch) {
    super(plan, Lqf::lqf_plan_destroy);
    this.pointer = plan;
    this.backbone = backbone;
    this.linearised = linearised;
    this.maxBatch = maxBatch;
    this.imageSize = backbone.input().shape().size();
  }

  /** The most images of one call. */
  public int maxBatch() {
    return maxBatch;
  }

  /** Outputs of one image. */
  public int classes() {
    return backbone.outputShape().channels();
  }

  /**
   * Length of a displacement and of a gradient: all parameters, those of frozen layers included.
   */
  public long parameters() {
    return backbone.parameters();
  }

  public Backbone backbone() {
    return backbone;
  }

  /** The layers whose parameters are displaced, in node order, with their units. */
  public LayerUnits linearised() {
    return linearised;
  }

  /** n, the images of the last forward; 0 if there was none. */
  public int images() {
    return images;
  }

  /**
   * A number that changes with every forward, forwardJvp, predict and setParameters: as long as it
   * stays, the images that the plan keeps are the same.
   */
  public long forwards() {
    return forwards.get();
  }

  /**
   * Evaluates f(x; w0) and keeps what the other verbs need.
   *
   * @param batch [n, channels, height, width], read; more may follow
   * @throws IllegalArgumentException if n is not in 1 … maxBatch or the batch holds fewer images
   */
  public void forward(float[] batch, int n) {
    checkImages(batch.length, n);
    forget();
    enter();
    try {
      check(Lqf.lqf_plan_forward(pointer, batch, n));
    } finally {
      leave();
    }
    images = n;
  }

  /**
   * The same from a direct buffer in native byte order, without a copy on the way: the images start
   * at its position, which does not move.
   */
  public void forward(FloatBuffer batch, int n) {
    checkDirect(batch);
    checkImages(batch.remaining(), n);
    forget();
    enter();
    try {
      check(Lqf.lqf_plan_forward(pointer, batch, n));
    } finally {
      leave();
    }
    images = n;
  }

  /**
   * The same for images that are on the device already.
   *
   * @param batch [n, channels, height, width], read; more may follow
   */
  public void forward(DeviceVector batch, int n) {
    checkImages(batch.length(), n);
    forget();
    begin(this, batch);
    try {
      check(Lqf.lqf_plan_forward_vector(pointer, batch.pointer, n));
    } finally {
      end(this, batch);
    }
    images = n;
  }

  /**
   * {@link #forward} and {@link #jvp} in one walk over the layers, which reads once what both read:
   * the same bits in less time.
   *
   * @param batch [n, channels, height, width], read; more may follow
   * @param delta [parameters], read; entries of frozen layers are ignored
   * @param out [n, classes], J · delta, overwritten; entries beyond are left as they are; not delta
   */
  public void forwardJvp(float[] batch, int n, DeviceVector delta, DeviceVector out) {
    checkImages(batch.length, n);
    forwardJvp(
        n,
        delta,
        out,
        () -> Lqf.lqf_plan_forward_jvp(pointer, batch, n, delta.pointer, out.pointer));
  }

  /** The same from a direct buffer, as in {@link #forward(FloatBuffer, int)}. */
  public void forwardJvp(FloatBuffer batch, int n, DeviceVector delta, DeviceVector out) {
    checkDirect(batch);
    checkImages(batch.remaining(), n);
    forwardJvp(
        n,
        delta,
        out,
        () -> Lqf.lqf_plan_forward_jvp(pointer, batch, n, delta.pointer, out.pointer));
  }

  /**
   * The same for images that are on the device already.
   *
   * @param batch [n, channels, height, width], read; more may follow; not out
   */
  public void forwardJvp(DeviceVector batch, int n, DeviceVector delta, DeviceVector out) {
    checkImages(batch.length(), n);
    checkParameters("delta", delta);
    checkLength("out", out, (long) n * classes());
    forget();
    begin(this, batch, delta, out);
    try {
      check(Lqf.lqf_plan_forward_jvp_vector(pointer, batch.pointer, n, delta.pointer, out.pointer));
    } finally {
      end(this, batch, delta, out);
    }
    images = n;
  }

  private void forwardJvp(int n, DeviceVector delta, DeviceVector out, IntSupplier verb) {
    checkParameters("delta", delta);
    checkLength("out", out, (long) n * classes());
    forget();
    call(verb, this, delta, out);
    images = n;
  }

  /**
   * out = f(x; w0).
   *
   * @param out [n, classes], overwritten; entries beyond are left as they are
   * @throws IllegalStateException if forward was not called
   */
  public void outputs(DeviceVector out) {
    checkOutputs("out", out);
    begin(this, out);
    try {
      check(Lqf.lqf_plan_outputs(pointer, out.pointer));
    } finally {
      end(this, out);
    }
  }

  /** Length of {@link #statistics}; 0 for a network whose batch norm is folded. */
  public int statisticsLength() {
    int length = 0;
    for (Node node : backbone.nodes()) {
      length += node.layer() instanceof Layer.BatchNorm2d norm ? 2 * norm.channels() : 0;
    }
    return length;
  }

  /**
   * What each batch norm saw in the last forward: mean [channels] and unbiased variance [channels]
   * of its input over images and pixels, batch norm by batch norm in node order.
   *
   * @param out [statisticsLength()], overwritten; entries beyond are left as they are
   * @throws IllegalStateException if forward was not called
   */
  public void statistics(DeviceVector out) {
    int unused = checkForward();
    checkLength("out", out, statisticsLength());
    call(() -> Lqf.lqf_plan_statistics(pointer, out.pointer), this, out);
  }

  /**
   * Applies the Jacobian to a direction: out = J · delta.
   *
   * @param delta [parameters], read; entries of frozen layers are ignored
   * @param out [n, classes], overwritten; entries beyond are left as they are; not delta
   * @throws IllegalStateException if forward was not called
   */
  public void jvp(DeviceVector delta, DeviceVector out) {
    checkParameters("delta", delta);
    checkOutputs("out", out);
    begin(this, delta, out);
    try {
      check(Lqf.lqf_plan_jvp(pointer, delta.pointer, out.pointer));
    } finally {
      end(this, delta, out);
    }
  }

  /**
   * Applies the transposed Jacobian: gradient += Jᵀ · cotangent, summed image by image in order.
   *
   * @param cotangent [n, classes], read
   * @param gradient [parameters], accumulated; entries of frozen layers are left as they are
   * @throws IllegalStateException if forward was not called
   */
  public void vjp(DeviceVector cotangent, DeviceVector gradient) {
    checkOutputs("cotangent", cotangent);
    checkParameters("gradient", gradient);
    begin(this, cotangent, gradient);
    try {
      check(Lqf.lqf_plan_vjp(pointer, cotangent.pointer, gradient.pointer));
    } finally {
      end(this, cotangent, gradient);
    }
  }

  /**
   * The displacement of the weights that a delta in units stands for: out = unit · delta, zero for
   * frozen layers. w0 + out are the parameters of the displaced network.
   *
   * @param delta [parameters], read
   * @param out [parameters], overwritten; not delta
   */
  public void displacement(DeviceVector delta, DeviceVector out) {
    checkParameters("delta", delta);
    checkParameters("out", out);
    begin(this, delta, out);
    try {
      check(Lqf.lqf_plan_displacement(pointer, delta.pointer, out.pointer));
    } finally {
      end(this, delta, out);
    }
  }

  /**
   * The Jacobian itself, for the Gram route.
   *
   * @param rows [n, classes, parameters], overwritten; zero for frozen layers
   * @throws IllegalStateException if forward was not called
   */
  public void jacobian(DeviceVector rows) {
    checkLength("rows", rows, checkForward() * (long) classes() * parameters());
    jacobian(rows, 0, new Columns(0, Math.toIntExact(parameters())), classes());
  }

  /** Parameters [first, first + length), those of some layers that follow one another. */
  public record Columns(int first, int length) {}

  /**
   * Linearised layers from the last to the first, as many together as have no more than so many
   * parameters, but at least one.
   */
  public static List<Columns> columns(Backbone network, Set<String> linearised, long most) {
    List<Columns> columns = new ArrayList<>();
    List<ParameterBlock> blocks = network.blocks();
    for (int i = blocks.size() - 1; i >= 0; i--) {
      ParameterBlock block = blocks.get(i);
      if (!linearised.contains(block.node())) {
        continue;
      }
      int last = columns.size() - 1;
      if (last >= 0
          && columns.get(last).first == block.end()
          && (long) block.size() + columns.get(last).length <= most) {
        int length = block.size() + columns.get(last).length;
        columns.set(last, new Columns(block.weightOffset(), length));
      } else {
        columns.add(new Columns(block.weightOffset(), block.size()));
      }
    }
    return columns;
  }

  /**
   * The Jacobian by some parameters, to be had in pieces where all of it is too long.
   *
   * @param rows [at least row + n · classes, columns.length()]; n · classes of them, from row on,
   *     are overwritten
   * @param classes of each image the first so many
   * @throws IllegalStateException if forward was not called
   */
  public void jacobian(DeviceVector rows, long row, Columns columns, int classes) {
    checkForward();
    call(
        () ->
            Lqf.lqf_plan_jacobian(
                pointer, rows.pointer, row, columns.first, columns.length, classes),
        this,
        rows);
  }

  /**
   * scores = f(x; w0) + J · delta in one step: the fine-tuned model. Takes the place of the last
   * forward.
   *
   * @param delta [parameters], read
   * @param batch [n, channels, height, width], read
   * @param scores [n, classes], overwritten; entries beyond are left as they are
   */
  public void predict(DeviceVector delta, float[] batch, int n, float[] scores) {
    checkParameters("delta", delta);
    checkImages(batch.length, n);
    if (scores.length < (long) n * classes()) {
      throw new IllegalArgumentException(
          "scores: %d images of %d classes need %d floats, got %d"
              .formatted(n, classes(), (long) n * classes(), scores.length));
    }
    forget();
    begin(this, delta);
    try {
      check(Lqf.lqf_plan_predict(pointer, delta.pointer, batch, n, scores));
    } finally {
      end(this, delta);
    }
    images = n;
  }

  /**
   * The same from device to device. On a device with streams it is queued, not waited for.
   *
   * @param batch [n, channels, height, width], read; more may follow
   * @param scores [n, classes], overwritten; entries beyond are left as they are
   */
  public void predict(DeviceVector delta, DeviceVector batch, int n, DeviceVector scores) {
    checkParameters("delta", delta);
    checkImages(batch.length(), n);
    checkLength("scores", scores, (long) n * classes());
    forget();
    begin(this, delta, batch, scores);
    try {
      check(Lqf.lqf_plan_predict_vector(pointer, delta.pointer, batch.pointer, n, scores.pointer));
    } finally {
      end(this, delta, batch, scores);
    }
    images = n;
  }

  /**
   * Moves w0 to these parameters; the next verb must be a forward.
   *
   * @param parameters [parameters], copied
   */
  public void setParameters(DeviceVector parameters) {
    checkParameters("parameters", parameters);
    forget();
    moved = true;
    call(() -> Lqf.lqf_plan_set_parameters(pointer, parameters.pointer), this, parameters);
  }

  /** {@link Backbone#balancedHead}, but empty after {@link #setParameters}. */
  public Optional<ParameterBlock> balancedHead() {
    return moved ? Optional.empty() : backbone.balancedHead();
  }

  /** The steps with shapes and bytes, one a line. */
  public String describe() {
    return text(this, text -> Lqf.lqf_plan_describe(pointer, text, text.length));
  }

  /** Bytes of this plan alone: activations and packed weights. */
  public long memoryBytes() {
    return memory(0);
  }

  /** Bytes of the scratch that this plan shares with all plans of its engine. */
  public long sharedMemoryBytes() {
    return memory(1);
  }

  @Override
  public String toString() {
    return "Plan[%s, %d of %d layers linearised, up to %d images]"
        .formatted(backbone.name(), linearised.layers().size(), backbone.blocks().size(), maxBatch);
  }

  private void forget() {
    images = 0;
    forwards.incrementAndGet();
  }

  private long memory(int which) {
    long[][] bytes = new long[2][1];
    call(() -> Lqf.lqf_plan_memory(pointer, bytes[0], bytes[1]), this);
    return bytes[which][0];
  }

  private void checkImages(long floats, int n) {
    if (n < 1 || n > maxBatch) {
      throw new IllegalArgumentException(
          "n is %d, expected 1 to %d, the largest batch of this plan".formatted(n, maxBatch));
    }
    if (floats < (long) n * imageSize) {
      throw new IllegalArgumentException(
          "%d images %s need %d floats, got %d"
              .formatted(n, backbone.input().shape(), (long) n * imageSize, floats));
    }
  }

  private static void checkDirect(FloatBuffer batch) {
    if (!batch.isDirect() || batch.order() != ByteOrder.nativeOrder()) {
      throw new IllegalArgumentException("images must be a direct buffer in native byte order");
    }
  }

  private int checkForward() {
    int n = images;
    if (n == 0) {
      throw new IllegalStateException("no images: call forward first (setParameters forgets them)");
    }
    return n;
  }

  private void checkOutputs(String name, DeviceVector vector) {
    checkLength(name, vector, (long) checkForward() * classes());
  }

  private static void checkLength(String name, DeviceVector vector, long least) {
    if (vector.length() < least) {
      throw new IllegalArgumentException(
          "%s: expected at least %d entries, got %d".formatted(name, least, vector.length()));
    }
  }

  private void checkParameters(String name, DeviceVector vector) {
    if (vector.length() != parameters()) {
      throw new IllegalArgumentException(
          "%s: expected the %d parameters of \"%s\", got %d entries"
              .formatted(name, parameters(), backbone.name(), vector.length()));
    }
  }
}
