package org.lqf.bench.peers;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.lqf.curvature.KroneckerFactors;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;

/**
 * The factors of {@link LqfFactorsTask} by libtorch: im2col, then the symmetric product by ssyrk of
 * OpenBLAS, which does half the work of libtorch's own matmul; inverses by Cholesky. The row of the
 * bias is left out, in libtorch's favour.
 */
final class TorchFactorsTask implements Task {

  private static final int ROW_MAJOR = 101;
  private static final int NO_TRANSPOSE = 111;
  private static final int LOWER = 122;

  /** Positions below which the images of a batch are put side by side: short products are slow. */
  private static final int FEW = 256;

  private record Convolution(
      String name, Layer.Conv2d conv, Tensor x, Tensor input, Tensor output) {}

  private final LqfFactorsTask.Part part;
  private final int threads;
  private final int blasThreads;
  private final int n;
  private final TorchNetwork network;
  private final TorchNetwork.Primal primal;
  private final Tensor probe;
  private final List<Convolution> convolutions = new ArrayList<>();
  private final List<Tensor> matrices = new ArrayList<>(); // to be inverted
  private final List<Tensor> inverses = new ArrayList<>(); // of the compared layer
  private final ParameterBlock block;
  private final Tensor gradient; // [out, in + 1]
  private int added;

  /**
   * @param blasThreads of OpenBLAS: two are slower than one for the smaller matrices
   */
  TorchFactorsTask(Problem problem, int threads, int blasThreads, LqfFactorsTask.Part part) {
    Torch.threads(threads);
    this.blasThreads = blasThreads;
    this.part = part;
    this.threads = threads;
    this.n = problem.n();
    block = problem.backbone().blocks().get(LqfFactorsTask.LAYER);
    gradient = gradient(problem);
    network = new TorchNetwork(problem.backbone(), problem.delta(), TorchNetwork.Style.RECORDING);
    primal = network.keep(network.images(problem.images(), n));
    probe = signs(n, problem.classes());
    for (Node node : problem.backbone().nodes()) {
      if (node.layer() instanceof Layer.Conv2d conv) {
        long patch = (long) conv.inChannels() * conv.kernelHeight() * conv.kernelWidth();
        convolutions.add(
            new Convolution(
                node.name(),
                conv,
                primal.values.get(node.inputs().get(0)).detach().contiguous(),
                torch.zeros(patch, patch),
                torch.zeros(conv.outChannels(), conv.outChannels())));
      }
    }
    if (part == LqfFactorsTask.Part.INVERT) {
      damped(problem);
    } else {
      for (Convolution c : convolutions) {
        matrices.add(c.input);
        matrices.add(c.output);
      }
    }
    Torch.blasThreads(1);
  }

  private Tensor gradient(Problem problem) {
    float[] all = problem.delta();
    Tensor weight =
        Torch.tensor(
            Arrays.copyOfRange(all, block.weightOffset(), block.biasOffset()),
            block.out(),
            block.in());
    Tensor bias =
        Torch.tensor(Arrays.copyOfRange(all, block.biasOffset(), block.end()), block.out(), 1);
    return torch.cat(new TensorVector(weight, bias), 1);
  }

  private static Tensor signs(int n, int classes) {
    Random random = new Random(1);
    float[] values = new float[n * classes];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextBoolean() ? 1 : -1;
    }
    return Torch.tensor(values, n, classes);
  }

  /** The damped factors of lqf: both sides then invert the same matrices. */
  private void damped(Problem problem) {
    try (LqfFactorsTask lqf =
        new LqfFactorsTask(problem, threads, LqfFactorsTask.Part.ACCUMULATE)) {
      KroneckerFactors factors = lqf.factors();
      for (int layer = 0; layer < factors.layers().size(); layer++) {
        double[] a = factors.input(layer);
        double[] gamma = factors.output(layer);
        double pi = Math.sqrt(meanDiagonal(a) / meanDiagonal(gamma));
        matrices.add(shifted(a, pi * Math.sqrt(LqfFactorsTask.DAMPING)));
        matrices.add(shifted(gamma, Math.sqrt(LqfFactorsTask.DAMPING) / pi));
      }
    }
  }

  private static double meanDiagonal(double[] matrix) {
    int side = (int) Math.sqrt(matrix.length);
    double sum = 0;
    for (int i = 0; i < side; i++) {
      sum += matrix[i * side + i];
    }
    return sum / side;
  }

  private static Tensor shifted(double[] matrix, double shift) {
    int side = (int) Math.sqrt(matrix.length);
    float[] values = new float[matrix.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (matrix[i] + (i / side == i % side ? shift : 0));
    }
    return Torch.tensor(values, side, side);
  }

  @Override
  public void run() {
    Torch.threads(threads);
    Torch.blasThreads(blasThreads);
    try (PointerScope scope = new PointerScope()) {
      if (part != LqfFactorsTask.Part.INVERT) {
        accumulate();
      }
      if (part != LqfFactorsTask.Part.ACCUMULATE) {
        invert();
      }
    }
    Torch.blasThreads(1);
  }

  private void accumulate() {
    TensorVector cotangents =
        network.cotangents(primal, convolutions.stream().map(Convolution::name).toList(), probe);
    for (int i = 0; i < convolutions.size(); i++) {
      Convolution c = convolutions.get(i);
      long[] kernel = {c.conv.kernelHeight(), c.conv.kernelWidth()};
      long[] padding = {c.conv.padding(), c.conv.padding()};
      long[] stride = {c.conv.stride(), c.conv.stride()};
      addProducts(torch.im2col(c.x, kernel, new long[] {1, 1}, padding, stride), c.input);
      addProducts(cotangents.get(i).flatten(2, 3).contiguous(), c.output);
    }
    added += n;
  }

  /** sum += columns·columnsᵀ (lower triangle) over the images of columns [n, rows, positions]. */
  private void addProducts(Tensor columns, Tensor sum) {
    long positions = columns.size(2);
    boolean together = positions < FEW;
    Tensor all = together ? columns.transpose(0, 1).contiguous() : columns;
    int rows = (int) columns.size(1);
    int length = (int) (together ? n * positions : positions);
    for (int image = 0; image < (together ? 1 : n); image++) {
      FloatPointer from =
          new FloatPointer(all.data_ptr_float()).position((long) image * rows * length);
      openblas_nolapack.cblas_ssyrk(
          ROW_MAJOR,
          LOWER,
          NO_TRANSPOSE,
          rows,
          length,
          1,
          from,
          length,
          1,
          new FloatPointer(sum.data_ptr_float()),
          rows);
    }
  }

  private void invert() {
    boolean damped = part == LqfFactorsTask.Part.INVERT;
    inverses.clear();
    for (int i = 0; i < matrices.size(); i += 2) {
      Tensor a = matrices.get(i);
      Tensor gamma = matrices.get(i + 1);
      if (!damped) {
        a = a.div(new Scalar((double) added));
        gamma = gamma.div(new Scalar((double) added));
        double pi = Math.sqrt(meanDiagonal(a) / meanDiagonal(gamma));
        a.diagonal().add_(new Scalar(pi * Math.sqrt(LqfFactorsTask.DAMPING)));
        gamma.diagonal().add_(new Scalar(Math.sqrt(LqfFactorsTask.DAMPING) / pi));
      }
      Tensor left = inverse(gamma);
      Tensor right = inverse(a);
      if (damped && i / 2 == LqfFactorsTask.LAYER) {
        left.retainReference(); // beyond the scope
        right.retainReference();
        inverses.add(right);
        inverses.add(left);
      }
    }
  }

  private static double meanDiagonal(Tensor matrix) {
    return matrix.diagonal().mean().item_double();
  }

  private static Tensor inverse(Tensor matrix) {
    return torch.cholesky_inverse(torch.linalg_cholesky(matrix));
  }

  @Override
  public float[] result() {
    if (part == LqfFactorsTask.Part.INVERT) {
      Tensor step = torch.matmul(torch.matmul(inverses.get(1), gradient), inverses.get(0));
      return Torch.toArray(step.narrow(1, 0, block.in())); // the last column is the bias
    }
    Tensor lower = convolutions.get(LqfFactorsTask.LAYER).input.div(new Scalar((double) added));
    return Torch.toArray(lower.tril().add(lower.tril(-1).t()));
  }

  @Override
  public void close() {}
}
