package org.lqf.bench.vendor;

import static org.bytedeco.cuda.global.cudnn.CUDNN_CROSS_CORRELATION;
import static org.bytedeco.cuda.global.cudnn.CUDNN_DATA_FLOAT;
import static org.bytedeco.cuda.global.cudnn.CUDNN_DEFAULT_MATH;
import static org.bytedeco.cuda.global.cudnn.CUDNN_FMA_MATH;
import static org.bytedeco.cuda.global.cudnn.CUDNN_TENSOR_NCHW;
import static org.bytedeco.cuda.global.cudnn.cudnnConvolutionBackwardData;
import static org.bytedeco.cuda.global.cudnn.cudnnConvolutionBackwardFilter;
import static org.bytedeco.cuda.global.cudnn.cudnnConvolutionForward;
import static org.bytedeco.cuda.global.cudnn.cudnnCreateConvolutionDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnCreateFilterDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnCreateTensorDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnDestroyConvolutionDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnDestroyFilterDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnDestroyTensorDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnFindConvolutionBackwardDataAlgorithm;
import static org.bytedeco.cuda.global.cudnn.cudnnFindConvolutionBackwardFilterAlgorithm;
import static org.bytedeco.cuda.global.cudnn.cudnnFindConvolutionForwardAlgorithm;
import static org.bytedeco.cuda.global.cudnn.cudnnSetConvolution2dDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnSetConvolutionMathType;
import static org.bytedeco.cuda.global.cudnn.cudnnSetFilter4dDescriptor;
import static org.bytedeco.cuda.global.cudnn.cudnnSetTensor4dDescriptor;

import java.util.List;
import org.bytedeco.cuda.cudnn.cudnnConvolutionBwdDataAlgoPerf_t;
import org.bytedeco.cuda.cudnn.cudnnConvolutionBwdFilterAlgoPerf_t;
import org.bytedeco.cuda.cudnn.cudnnConvolutionFwdAlgoPerf_t;
import org.bytedeco.cuda.cudnn.cudnnConvolutionStruct;
import org.bytedeco.cuda.cudnn.cudnnFilterStruct;
import org.bytedeco.cuda.cudnn.cudnnTensorStruct;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.lqf.engine.DeviceVector;
import org.lqf.engine.Precision;
import org.lqf.model.Layer;
import org.lqf.model.Shape;

/**
 * A convolution by cuDNN in fp32 (FMA, no tensor cores), layout NCHW, with the algorithms that its
 * own search finds fastest. All vectors are the engine's, used in place.
 *
 * <p>NOTE: cuDNN 9 calls these functions deprecated in favour of its graphs of operations, and
 * keeps them; they are what it offers for one convolution.
 */
@SuppressWarnings("deprecation")
public final class CudnnConvolution implements AutoCloseable {

  private static final FloatPointer ONE = new FloatPointer(1f);
  private static final FloatPointer ZERO = new FloatPointer(0f);

  private final Vendor vendor;
  private final cudnnTensorStruct input = new cudnnTensorStruct();
  private final cudnnTensorStruct output = new cudnnTensorStruct();
  private final cudnnFilterStruct filter = new cudnnFilterStruct();
  private final cudnnConvolutionStruct convolution = new cudnnConvolutionStruct();
  private final int forward;
  private final int backwardData;
  private final int backwardFilter;
  private final long workspaceBytes;
  private final Pointer workspace;

  /**
   * Of n images [inChannels, side, side].
   *
   * @param precision fp32, else cuDNN may take tf32
   * @param conv its input has that side
   */
  public CudnnConvolution(Vendor vendor, Precision precision, Layer.Conv2d conv, int side, int n) {
    this.vendor = vendor;
    Shape y = conv.outputShape(List.of(new Shape(conv.inChannels(), side, side)));
    Vendor.check("cudnnCreateTensorDescriptor", cudnnCreateTensorDescriptor(input));
    Vendor.check("cudnnCreateTensorDescriptor", cudnnCreateTensorDescriptor(output));
    Vendor.check("cudnnCreateFilterDescriptor", cudnnCreateFilterDescriptor(filter));
    Vendor.check("cudnnCreateConvolutionDescriptor", cudnnCreateConvolutionDescriptor(convolution));
    int nchw = CUDNN_TENSOR_NCHW;
    int fp32 = CUDNN_DATA_FLOAT;
    Vendor.check(
        "cudnnSetTensor4dDescriptor",
        cudnnSetTensor4dDescriptor(input, nchw, fp32, n, conv.inChannels(), side, side));
    Vendor.check(
        "cudnnSetTensor4dDescriptor",
        cudnnSetTensor4dDescriptor(output, nchw, fp32, n, y.channels(), y.height(), y.width()));
    Vendor.check(
        "cudnnSetFilter4dDescriptor",
        cudnnSetFilter4dDescriptor(
            filter,
            fp32,
            nchw,
            conv.outChannels(),
            conv.inChannels(),
            conv.kernelHeight(),
            conv.kernelWidth()));
    int pad = conv.padding();
    int stride = conv.stride();
    Vendor.check(
        "cudnnSetConvolution2dDescriptor",
        cudnnSetConvolution2dDescriptor(
            convolution, pad, pad, stride, stride, 1, 1, CUDNN_CROSS_CORRELATION, fp32));
    Vendor.check(
        "cudnnSetConvolutionMathType",
        cudnnSetConvolutionMathType(
            convolution, precision == Precision.FP32 ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH));

    int[] found = new int[1];
    cudnnConvolutionFwdAlgoPerf_t f = new cudnnConvolutionFwdAlgoPerf_t(1);
    Vendor.check(
        "cudnnFindConvolutionForwardAlgorithm",
        cudnnFindConvolutionForwardAlgorithm(
            vendor.cudnn, input, filter, convolution, output, 1, found, f));
    cudnnConvolutionBwdDataAlgoPerf_t d = new cudnnConvolutionBwdDataAlgoPerf_t(1);
    Vendor.check(
        "cudnnFindConvolutionBackwardDataAlgorithm",
        cudnnFindConvolutionBackwardDataAlgorithm(
            vendor.cudnn, filter, output, convolution, input, 1, found, d));
    cudnnConvolutionBwdFilterAlgoPerf_t w = new cudnnConvolutionBwdFilterAlgoPerf_t(1);
    Vendor.check(
        "cudnnFindConvolutionBackwardFilterAlgorithm",
        cudnnFindConvolutionBackwardFilterAlgorithm(
            vendor.cudnn, input, output, convolution, filter, 1, found, w));
    forward = f.algo();
    backwardData = d.algo();
    backwardFilter = w.algo();
    workspaceBytes = Math.max(16, Math.max(f.memory(), Math.max(d.memory(), w.memory())));
    workspace = Vendor.allocate(workspaceBytes);
  }

  /** y = conv(x, w), without bias. */
  public void forward(DeviceVector x, DeviceVector w, DeviceVector y) {
    Vendor.check(
        "cudnnConvolutionForward",
        cudnnConvolutionForward(
            vendor.cudnn,
            ONE,
            input,
            Vendor.floats(x),
            filter,
            Vendor.floats(w),
            convolution,
            forward,
            workspace,
            workspaceBytes,
            ZERO,
            output,
            Vendor.floats(y)));
  }

  /** The cotangent of x. */
  public void backwardData(DeviceVector w, DeviceVector cotangent, DeviceVector xBar) {
    Vendor.check(
        "cudnnConvolutionBackwardData",
        cudnnConvolutionBackwardData(
            vendor.cudnn,
            ONE,
            filter,
            Vendor.floats(w),
            output,
            Vendor.floats(cotangent),
            convolution,
            backwardData,
            workspace,
            workspaceBytes,
            ZERO,
            input,
            Vendor.floats(xBar)));
  }

  /** The cotangent of w, summed over images. */
  public void backwardFilter(DeviceVector x, DeviceVector cotangent, DeviceVector wBar) {
    Vendor.check(
        "cudnnConvolutionBackwardFilter",
        cudnnConvolutionBackwardFilter(
            vendor.cudnn,
            ONE,
            input,
            Vendor.floats(x),
            output,
            Vendor.floats(cotangent),
            convolution,
            backwardFilter,
            workspace,
            workspaceBytes,
            ZERO,
            filter,
            Vendor.floats(wBar)));
  }

  @Override
  public void close() {
    vendor.synchronise();
    Vendor.free(workspace);
    cudnnDestroyConvolutionDescriptor(convolution);
    cudnnDestroyFilterDescriptor(filter);
    cudnnDestroyTensorDescriptor(output);
    cudnnDestroyTensorDescriptor(input);
  }
}
