# sh slim.sh SITE_PACKAGES: remove what nobody runs here, some 460 MB: TensorFlow's C++ headers, which only those need who
# compile operations of their own, and what large packages test themselves with.
set -eu
for part in tensorflow/include onnx/backend/test pandas/tests pyarrow/tests matplotlib/tests 'numpy/*tests' \
    'scipy/*/tests' 'sklearn/*tests' 'sympy/*/tests'; do
    find "$1" -type d -path "$1/$part" -prune -exec rm -rf {} +
done
