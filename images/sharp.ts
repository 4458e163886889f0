import sharp from 'sharp';

/**
 * sharp with every file loader switched off except PNG, JPEG, WebP and GIF. libvips would otherwise
 * take SVG (with external references), PDF, TIFF and more from anybody who can send a picture.
 * Raw pixels pass through no loader and stay possible.
 */
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadPng',
    'VipsForeignLoadJpeg',
    'VipsForeignLoadWebp',
    'VipsForeignLoadNsgif',
  ],
});

// The cache keeps decoded inputs by content. No two requests share one, so it would only hold memory.
sharp.cache(false);

export { sharp };
