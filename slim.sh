# sh slim.sh SITE_PACKAGES: remove what nobody runs here, some 500 MB: TensorFlow's C++ headers, which only those need who
# compile operations of their own, what large packages test themselves with, and LiteRT's way to graphics cards.
set -eu
for part in tensorflow/include pyarrow/include ai_edge_litert/libLiteRtWebGpuAccelerator.so \
    ai_edge_litert/tools/apply_plugin_main tests onnx/backend/test pandas/tests pyarrow/tests matplotlib/tests \
    'networkx/*tests' 'numpy/*tests' 'scipy/*tests' 'sklearn/*tests' 'sympy/*tests'; do
    find "$1" -path "$1/$part" -prune -exec rm -rf {} +
done
