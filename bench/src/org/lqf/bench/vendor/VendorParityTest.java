package org.lqf.bench.vendor;

import static org.bytedeco.cuda.global.cudart.cudaMemcpyAsync;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyDeviceToHost;
import static org.bytedeco.cuda.global.cudart.cudaMemcpyHostToDevice;
import static org.bytedeco.cuda.global.cudart.cudaStreamCreate;
import static org.bytedeco.cuda.global.cudart.cudaStreamDestroy;
import static org.bytedeco.cuda.global.cudart.cudaStreamSynchronize;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lqf.engine.DeviceBuffer;
import org.lqf.engine.DeviceStream;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Engine;
import org.lqf.engine.Plan;
import org.lqf.engine.Precision;
import org.lqf.engine.SymmetricMatrix;
import org.lqf.model.Backbone;
import org.lqf.model.InputSpec;
import org.lqf.model.Layer;
import org.lqf.model.Node;
import org.lqf.model.ParameterBlock;
import org.lqf.model.Shape;

/**
 * Our kernels against cuDNN, cuBLAS and cuSOLVER on one stream. Skipped where there is no GPU, with
 * the reason; with -Dlqf.require.cuda=true (bench/gpu) it fails instead.
 */
class VendorParityTest {

  private static final int IMAGES = 3;

  private static void requireCard() {
    Optional<String> cause = Vendor.unavailabilityCause();
    if (Boolean.getBoolean("lqf.require.cuda")) {
      assertEquals(Optional.empty(), cause);
    }
    assumeTrue(cause.isEmpty(), () -> cause.orElse(""));
  }

  private static float[] normals(int length, long seed) {
    Random random = new Random(seed);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static void assertClose(double[] expected, float[] actual, double bound) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow(expected[i] - actual[i], 2);
      norm += Math.pow(expected[i], 2);
    }
    double distance = Math.sqrt(difference / norm);
    assertTrue(distance <= bound, () -> "relative distance " + distance);
  }

  @Test
  void withoutAGpuTheBaselinesRefuseWithOneSentence() {
    Optional<String> cause = Vendor.unavailabilityCause();
    assumeTrue(cause.isPresent(), "here is a GPU with its libraries");
    assertFalse(cause.get().contains("\n"), cause.get());
    try (Engine engine = Engine.open("cpu", 1)) {
      IllegalStateException refusal =
          assertThrows(IllegalStateException.class, () -> new Vendor(engine));
      assertEquals(cause.get(), refusal.getMessage());
    }
  }

  /** Image [1] → 1×1 convolution → the layer → mean: the layer's input has a cotangent. */
  private static Backbone network(Layer.Conv2d conv, int side) {
    List<Node> nodes = new ArrayList<>();
    nodes.add(new Node("widen", new Layer.Conv2d(1, conv.inChannels(), 1, 1, 1, 0), Node.INPUT));
    nodes.add(new Node("layer", conv, "widen"));
    nodes.add(new Node("mean", new Layer.GlobalAvgPool(), "layer"));
    List<ParameterBlock> blocks = ParameterBlock.layout(nodes);
    float[] w0 = normals(blocks.get(blocks.size() - 1).end(), 1);
    InputSpec input = new InputSpec(1, side, side, new float[] {0}, new float[] {1});
    return new Backbone("parity", input, nodes, "mean", "mean", List.of(), w0);
  }

  @ParameterizedTest
  @CsvSource({
    "16,32,16,3,1,1",
    "64,14,36,3,1,1",
    "20,15,36,3,2,1",
    "24,14,40,1,2,0",
    "3,33,8,7,2,3"
  })
  void convolutionsAgreeWithCudnn(
      int channels, int side, int out, int kernel, int stride, int padding) {
    requireCard();
    Layer.Conv2d conv = new Layer.Conv2d(channels, out, kernel, kernel, stride, padding);
    Backbone net = network(conv, side);
    Shape y = conv.outputShape(List.of(new Shape(channels, side, side)));
    int pixels = side * side;
    int positions = y.height() * y.width();
    float[] images = normals(IMAGES * pixels, 2);
    float[] w0 = net.w0();
    ParameterBlock widen = net.blocks().get(0);
    ParameterBlock layer = net.blocks().get(1);
    int weights = channels * kernel * kernel * out;
    float[] x = new float[IMAGES * channels * pixels];
    for (int i = 0; i < x.length; i++) {
      int channel = i / pixels % channels;
      x[i] =
          Math.fma(
              w0[widen.weightOffset() + channel],
              images[i / pixels / channels * pixels + i % pixels],
              w0[widen.biasOffset() + channel]);
    }
    float[] u = normals(IMAGES * out, 3);
    float[] cotangent = new float[IMAGES * y.size()]; // of the layer's output, through the mean
    for (int i = 0; i < cotangent.length; i++) {
      cotangent[i] = u[i / positions] / positions;
    }
    float[] w = new float[weights];
    System.arraycopy(w0, layer.weightOffset(), w, 0, weights);

    try (Engine engine = Engine.open("cuda", 1);
        Vendor vendor = new Vendor(engine);
        CudnnConvolution cudnn = new CudnnConvolution(vendor, Precision.FP32, conv, side, IMAGES);
        Plan plan = engine.compile(net, IMAGES);
        DeviceVector outputs = engine.vector((long) IMAGES * out);
        DeviceVector ubar = engine.vector(u);
        DeviceVector gradient = engine.vector(net.parameters());
        DeviceVector deviceX = engine.vector(x);
        DeviceVector deviceW = engine.vector(w);
        DeviceVector deviceY = engine.vector((long) IMAGES * y.size());
        DeviceVector deviceU = engine.vector(cotangent);
        DeviceVector xBar = engine.vector(x.length);
        DeviceVector wBar = engine.vector(weights)) {
      plan.forward(images, IMAGES);
      plan.outputs(outputs);
      plan.vjp(ubar, gradient);
      cudnn.forward(deviceX, deviceW, deviceY);
      cudnn.backwardData(deviceW, deviceU, xBar);
      cudnn.backwardFilter(deviceX, deviceU, wBar);

      float[] theirs = deviceY.toArray();
      double[] means = new double[IMAGES * out];
      for (int i = 0; i < theirs.length; i++) {
        means[i / positions] += theirs[i] / (double) positions;
      }
      for (int i = 0; i < means.length; i++) {
        means[i] += w0[layer.biasOffset() + i % out];
      }
      assertClose(means, outputs.toArray(), 1e-5);

      float[] ours = gradient.toArray();
      float[] filter = new float[weights];
      System.arraycopy(ours, layer.weightOffset(), filter, 0, weights);
      double[] theirFilter = new double[weights];
      float[] read = wBar.toArray();
      for (int i = 0; i < weights; i++) {
        theirFilter[i] = read[i];
      }
      assertClose(theirFilter, filter, 1e-5);

      float[] data = xBar.toArray();
      double[] theirWiden = new double[channels];
      for (int i = 0; i < data.length; i++) {
        theirWiden[i / pixels % channels] +=
            data[i] * (double) images[i / pixels / channels * pixels + i % pixels];
      }
      float[] ourWiden = new float[channels];
      System.arraycopy(ours, widen.weightOffset(), ourWiden, 0, channels);
      assertClose(theirWiden, ourWiden, 1e-5);
    }
  }

  /** What a service does that has its stream and its buffers through the presets. */
  @Test
  void aStreamAndBuffersOfThePresetsServeAPlan() {
    requireCard();
    Backbone net = network(new Layer.Conv2d(4, 8, 3, 3, 1, 1), 9);
    float[] images = normals(IMAGES * net.input().shape().size(), 6);
    float[] expected = new float[IMAGES * net.outputShape().size()];
    FloatPointer read = new FloatPointer((long) expected.length);
    CUstream_st stream = new CUstream_st();
    Vendor.check("cudaStreamCreate", cudaStreamCreate(stream));
    Pointer theirImages = Vendor.allocate(bytes(images.length));
    Pointer theirScores = Vendor.allocate(bytes(expected.length));
    Vendor.check(
        "cudaMemcpyAsync",
        cudaMemcpyAsync(
            theirImages,
            new FloatPointer(images),
            bytes(images.length),
            cudaMemcpyHostToDevice,
            stream));
    try (Engine engine = Engine.open("cuda", DeviceStream.of(stream.address()), Precision.FP32);
        Plan plan = engine.compile(net, IMAGES);
        DeviceVector delta = engine.vector(normals((int) net.parameters(), 7));
        DeviceVector x = engine.vector(DeviceBuffer.of(theirImages.address(), images.length));
        DeviceVector scores =
            engine.vector(DeviceBuffer.of(theirScores.address(), expected.length))) {
      plan.predict(delta, images, IMAGES, expected);
      plan.predict(delta, x, IMAGES, scores);
      Vendor.check(
          "cudaMemcpyAsync",
          cudaMemcpyAsync(
              read, theirScores, bytes(expected.length), cudaMemcpyDeviceToHost, stream));
      Vendor.check("cudaStreamSynchronize", cudaStreamSynchronize(stream));
    }
    float[] actual = new float[expected.length];
    read.get(actual);
    assertArrayEquals(expected, actual);
    Vendor.free(theirImages);
    Vendor.free(theirScores);
    Vendor.check("cudaStreamDestroy", cudaStreamDestroy(stream));
  }

  private static long bytes(int floats) {
    return (long) floats * Float.BYTES;
  }

  @Test
  void gramAgreesWithCublas() {
    requireCard();
    int rows = 37;
    int length = 4001;
    try (Engine engine = Engine.open("cuda", 1);
        Vendor vendor = new Vendor(engine);
        DeviceVector a = engine.vector(normals(rows * length, 4));
        DeviceVector product = engine.vector((long) rows * rows);
        SymmetricMatrix gram = engine.matrix(rows)) {
      gram.gram(0, a, rows, 0, a, rows, length);
      new Cublas(vendor).multiplyTransposed(rows, rows, length, a, a, product);
      double[] ours = gram.toArray();
      assertClose(ours, product.toArray(), 1e-5);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {5, 64, 333, 1153})
  void inversesAndEigenvaluesAgreeWithCusolver(int side) {
    requireCard();
    double[] entries = new double[side * side];
    float[] noise = normals(side * side, 5);
    for (int i = 0; i < side; i++) {
      for (int j = 0; j <= i; j++) {
        double entry = noise[i * side + j] / side + (i == j ? 2 : 0);
        entries[i * side + j] = entry;
        entries[j * side + i] = entry;
      }
    }
    try (Engine engine = Engine.open("cuda", 1);
        Vendor vendor = new Vendor(engine);
        CusolverMatrix theirs = new CusolverMatrix(vendor, side);
        SymmetricMatrix inverse = engine.matrix(side);
        SymmetricMatrix eigen = engine.matrix(side)) {
      inverse.write(0, 0, side, side, entries);
      inverse.cholesky(0);
      inverse.invert();
      double[] ours = inverse.toArray();
      theirs.write(entries);
      theirs.invert();
      double[] triangle = theirs.read();
      for (int j = 0; j < side; j++) {
        for (int i = j; i < side; i++) {
          assertEquals(triangle[j * side + i], ours[i * side + j], 1e-12);
        }
      }
      eigen.write(0, 0, side, side, entries);
      double[] values = eigen.eigen();
      theirs.write(entries);
      theirs.eigen();
      double[] theirValues = theirs.eigenvalues();
      for (int i = 0; i < side; i++) {
        assertEquals(theirValues[i], values[i], 1e-10);
      }
    }
  }
}
